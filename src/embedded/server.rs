//! A ClickHouse server on PATH in place of libchdb. Not run here: no package registry has the binary.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use secrecy::{ExposeSecret as _, SecretString};

use super::engine::cannot_write;
use crate::error::{Error, Kind, Result};

pub fn binary() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("clickhouse"))
        .find(|path| path.is_file())
}

/// `clickhouse server` on a free port. It announces nothing, so we do, in its name.
pub fn command(server: &Path, data: &Path, password: &SecretString) -> Result<Command> {
    let free = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .and_then(|listener| listener.local_addr())
        .map_err(|source| Error::new(Kind::File, "no free port").because(source))?;
    let folder = data.display();
    let config = format!(
        "listen_host: 127.0.0.1\nhttp_port: {port}\npath: {folder}/server/\ntmp_path: {folder}/server/tmp/\n\
         logger:\n  level: warning\n  console: 1\nmark_cache_size: 536870912\n\
         users:\n  default:\n    password_sha256_hex: {hash}\n    networks: {{ip: '127.0.0.1'}}\n    profile: default\n    quota: default\n\
         profiles:\n  default: {{}}\nquotas:\n  default: {{}}\n",
        port = free.port(),
        hash = hex(password),
    );
    let file = data.join("server.yaml");
    std::fs::write(&file, config).map_err(|source| cannot_write(&file, source))?;
    // the shell's own pid becomes the server's by `exec`, so that the announcement names it
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(r#"printf '{"url":"http://127.0.0.1:%s","pid":%s}' "$1" "$$" > "$2/engine.json"; exec "$3" server --config-file "$2/server.yaml""#)
        .arg("engine")
        .arg(free.port().to_string())
        .arg(data)
        .arg(server);
    Ok(command)
}

fn hex(password: &SecretString) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(password.expose_secret().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
