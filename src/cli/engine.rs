//! `bullion engine`: ClickHouse's engine from libchdb, in the foreground, behind ClickHouse's HTTP interface.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use super::{Context, Outcome, out};
use crate::embedded::serve::{Options, Server};
use crate::error::{Error, Kind, Result};

#[derive(clap::Args)]
pub struct Args {
    /// Folder that holds the tables; one engine at a time
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address of the HTTP interface; port 0 takes a free one (see engine.json in the data folder)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// Listen on other addresses than this machine's own: who has the password can read this machine's files
    #[arg(long)]
    public: bool,
    /// The shared library [default: BULLION_LIBCHDB, the cache folder, next to this binary]
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,
    /// Stop when stdin ends before it said anything: the starter died
    #[arg(long)]
    with_starter: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    if !args.listen.ip().is_loopback() && !args.public {
        let message = format!("{} is not an address of this machine alone", args.listen);
        return Err(
            Error::new(Kind::Usage, message).advise("listen on 127.0.0.1, or say --public as well")
        );
    }
    let options = Options {
        data: args.data,
        listen: args.listen,
        library: args.library,
        user: std::env::var("BULLION_ENGINE_USER").unwrap_or_else(|_| String::from("default")),
        password: password()?,
    };
    // A group of its own, so that a signal for our starter's group leaves the data alone. Fails for a group's leader,
    // which has one already.
    let _leads = rustix::process::setpgid(None, None);
    let server = Server::start(options).await?;
    out::line(format!(
        "engine {} ready at {} (pid {})",
        server.version(),
        server.url(),
        std::process::id()
    ));
    let shutdown = context.shutdown;
    let stop = async move {
        tokio::select! {
            _ = shutdown.wait() => {}
            () = starter_died(), if args.with_starter => {}
        }
    };
    server.run(stop).await?;
    Ok(Outcome::done("stopped"))
}

/// A starter holds our stdin open. A byte on it sets us free, its end without one means that the starter is gone.
async fn starter_died() {
    let read = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0])).await;
    if matches!(read, Ok(Ok(1))) {
        std::future::pending::<()>().await;
    }
}

/// From the environment or a file, never from the command line, which others can read.
fn password() -> Result<SecretString> {
    if let Some(file) = std::env::var_os("BULLION_ENGINE_PASSWORD_FILE") {
        let file = PathBuf::from(file);
        let text = std::fs::read_to_string(&file).map_err(|source| {
            Error::new(Kind::Config, format!("cannot read {}", file.display())).because(source)
        })?;
        return Ok(SecretString::from(text.trim_end().to_owned()));
    }
    match std::env::var("BULLION_ENGINE_PASSWORD") {
        Ok(password) if !password.is_empty() => Ok(SecretString::from(password)),
        _ => Err(Error::new(Kind::Config, "the engine needs a password")
            .advise("set BULLION_ENGINE_PASSWORD, or BULLION_ENGINE_PASSWORD_FILE to a file that holds it")),
    }
}
