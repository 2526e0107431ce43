//! The engine process: lock the data folder, start the engine, listen, and stop in good order.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use rustix::fs::FlockOperation;
use secrecy::SecretString;
use tokio::net::TcpListener;

use super::front::{self, Front};
use super::handle::{Engine, Session};
use super::library::{self, Api};
use super::reply::Facts;
use crate::error::{Error, Kind, Result};
use crate::shutdown;

/// Time that running queries get to end after they were told to, their last answers to be taken, and the engine to close; all
/// within the four seconds that a stop may take.
const DRAIN: Duration = Duration::from_millis(2_000);
const LAST_ANSWERS: Duration = Duration::from_millis(500);
const CLOSE: Duration = Duration::from_millis(1_200);
/// How often what runs is looked at, and how many looks lie between two orders to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const LOOKS: u32 = 20;

/// What `bullion engine` is told.
pub struct Options {
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub library: Option<PathBuf>,
    pub user: String,
    pub password: SecretString,
}

/// A started engine that listens already.
pub struct Server {
    listener: TcpListener,
    front: Arc<Front>,
    /// keeps the engine, and so its merges and Kafka consumers, alive while no request runs
    root: Session,
    folder: Folder,
    address: SocketAddr,
}

impl Server {
    pub async fn start(options: Options) -> Result<Server> {
        let folder = Folder::lock(&options.data)?;
        let library = library::find(options.library.as_deref())?;
        let store = folder.path.join("store");
        let (engine, root, facts) = tokio::task::spawn_blocking(move || boot(&library, &store))
            .await
            .map_err(|source| {
                Error::new(Kind::Internal, "the engine's start broke off").because(source)
            })??;
        let address = options.listen;
        let cannot_listen = |source: std::io::Error| {
            Error::new(Kind::Config, format!("cannot listen on {address}"))
                .because(source)
                .advise("choose another port with --listen, or port 0 for a free one")
        };
        let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        folder.announce(address)?;
        let front = Front::new(engine, facts, options.user, options.password);
        Ok(Server {
            listener,
            front: Arc::new(front),
            root,
            folder,
            address,
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn version(&self) -> &str {
        &self.front.facts.version
    }

    /// Serves until `stop` resolves, then stops running queries, closes every handle and leaves. The process is to end by
    /// [`shutdown::leave`] from here on: the library's threads do not outlive an ordinary end.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let (stopping, mut stopped) = tokio::sync::watch::channel(false);
        let signal = async move {
            stop.await;
            stopping.send_replace(true);
        };
        let listener = self.listener.tap_io(|socket| {
            // small answers must not wait for the peer's acknowledgement; without it they are only slower
            let _slower = socket.set_nodelay(true);
        });
        let serving = axum::serve(listener, front::router(Arc::clone(&self.front)))
            .with_graceful_shutdown(signal);
        let serving = tokio::spawn(async move { serving.await });
        // the sender lives in `serving`, which ends by sending, or because the listener failed
        let told = stopped.wait_for(|stopping| *stopping).await.is_ok();
        let alone = tokio::time::timeout(DRAIN, alone(&self.front))
            .await
            .is_ok();
        self.folder.withdraw();
        if !alone {
            // closing under a query that runs would hang or crash; the engine survives a hard end by design
            tracing::warn!("a query does not stop: leaving without closing the engine");
            shutdown::leave(0);
        }
        if tokio::time::timeout(LAST_ANSWERS, serving).await.is_err() {
            tracing::warn!("some clients did not end in time");
        }
        let root = self.root;
        let closing = tokio::task::spawn_blocking(move || drop(root));
        match tokio::time::timeout(CLOSE, closing).await {
            Ok(Ok(())) if told => Ok(()),
            Ok(Ok(())) => Err(Error::new(Kind::Internal, "the engine's listener failed")),
            Ok(Err(source)) => {
                Err(Error::new(Kind::Internal, "closing the engine failed").because(source))
            }
            Err(_) => {
                tracing::warn!("the engine does not close: leaving without it");
                shutdown::leave(0)
            }
        }
    }
}

/// Returns when nobody but the root session is inside the engine, and nobody can come in any more.
async fn alone(front: &Arc<Front>) {
    loop {
        // again and again, as a query that has not begun yet cannot be killed yet
        let killer = front.running.clone();
        let killed = tokio::task::spawn_blocking(move || killer.kill_all()).await;
        if killed.is_err() {
            tracing::warn!("running queries could not be told to stop");
        }
        for _ in 0..LOOKS {
            if front.engine.close() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Blocking: loads the library and opens the first session, which starts the engine.
fn boot(library: &Path, store: &Path) -> Result<(Engine, Session, Facts)> {
    let engine = Engine::new(Api::load(library)?, store)?;
    let refused = |failure: super::failure::Failure| {
        Error::new(
            Kind::File,
            format!("the engine does not start on {}", store.display()),
        )
        .because(failure)
    };
    let mut root = engine.session().map_err(refused)?;
    let answer = root
        .query(
            b"SELECT version(), timezone(), displayName()",
            "TabSeparated",
            &[],
        )
        .map_err(refused)?;
    let text = String::from_utf8_lossy(answer.data()).into_owned();
    drop(answer);
    let mut fields = text.trim_end().split('\t').map(str::to_owned);
    let facts = Facts {
        version: fields.next().unwrap_or_default(),
        timezone: fields.next().unwrap_or_default(),
        display_name: fields.next().unwrap_or_default(),
    };
    Ok((engine, root, facts))
}

/// The data folder, locked for as long as this value lives.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn lock(data: &Path) -> Result<Folder> {
        let cannot = |doing: &str, source: std::io::Error| {
            Error::new(Kind::File, format!("cannot {doing} {}", data.display())).because(source)
        };
        std::fs::create_dir_all(data).map_err(|source| cannot("make the data folder", source))?;
        let path = data
            .canonicalize()
            .map_err(|source| cannot("open the data folder", source))?;
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join("engine.lock"))
            .map_err(|source| cannot("write into the data folder", source))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // who holds it is only a help: the lock itself is the fact
            let _unknown = lock.read_to_string(&mut holder);
            let message = format!(
                "the data folder {} is in use by another engine (pid {})",
                path.display(),
                holder.trim()
            );
            return Err(Error::new(Kind::LeaseHeld, message)
                .advise("use that engine (its URL is in engine.json there), or stop it first"));
        }
        let written = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(|source| cannot("write the lock of", source))?;
        Ok(Folder { path, _lock: lock })
    }

    /// Writes `engine.json` whole or not at all: who reads it must never see half a URL.
    fn announce(&self, address: SocketAddr) -> Result<()> {
        let text = serde_json::json!({
            "url": format!("http://{address}"),
            "pid": std::process::id(),
        });
        let (draft, file) = (self.path.join("engine.json.new"), self.announcement());
        std::fs::write(&draft, format!("{text}\n"))
            .and_then(|()| std::fs::rename(&draft, &file))
            .map_err(|source| {
                Error::new(Kind::File, format!("cannot write {}", file.display())).because(source)
            })
    }

    fn withdraw(&self) {
        // a stale file is harmless: whoever reads it asks /ping first
        let _stale = std::fs::remove_file(self.announcement());
    }

    fn announcement(&self) -> PathBuf {
        self.path.join("engine.json")
    }
}
