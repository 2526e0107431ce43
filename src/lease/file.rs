//! A lease in a folder of one host.
//!
//! ```text
//! <target>.lock       locked for the moment of every change
//! <target>.lease      {"token": 7, "holder": "host/pid", "expires_at_ms": …}; replaced by rename, its token only rises
//! <target>.7.held     locked for as long as the process of token 7 lives: a killed holder frees it at once
//! ```

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

#[derive(Serialize, Deserialize)]
struct State {
    token: u64,
    holder: String,
    /// 0: released
    expires_at_ms: u64,
}

pub(super) struct FileLease {
    path: PathBuf,
    token: u64,
    ttl: Duration,
    /// its lock is our sign of life
    _held: File,
}

impl FileLease {
    pub fn acquire(folder: &Path, target: &str, ttl: Duration, floor: u64) -> Result<FileLease> {
        std::fs::create_dir_all(folder).map_err(|error| failed("make", folder, error))?;
        let path = folder.join(target);
        let _guard = guard(&path)?;
        let earlier = read(&path)?;
        if let Some(state) = &earlier
            && state.expires_at_ms > now_ms()
            && is_alive(&path, state.token)?
        {
            let message = format!("{target} is being built by {}", state.holder);
            return Err(Error::new(Kind::LeaseHeld, message));
        }
        let before = earlier.map_or(0, |state| state.token);
        let token = before.max(floor) + 1;
        let held = open(&held_path(&path, token))?;
        flock(&held, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| failed("lock", &path, error.into()))?;
        // nobody looks at it any more: only the current token's file counts
        let _gone = std::fs::remove_file(held_path(&path, before));
        let lease = FileLease {
            path,
            token,
            ttl,
            _held: held,
        };
        lease.write(now_ms() + millis(ttl))?;
        Ok(lease)
    }

    pub fn token(&self) -> u64 {
        self.token
    }

    pub fn is_ours(&self) -> Result<bool> {
        let state = read(&self.path)?;
        Ok(state.is_some_and(|state| state.token == self.token && state.expires_at_ms > 0))
    }

    /// False once somebody else has it.
    pub fn renew(&self) -> Result<bool> {
        let _guard = guard(&self.path)?;
        let ours = self.is_ours()?;
        if ours {
            self.write(now_ms() + millis(self.ttl))?;
        }
        Ok(ours)
    }

    pub fn release(&self) -> Result<()> {
        let _guard = guard(&self.path)?;
        if self.is_ours()? {
            self.write(0)?;
            let _gone = std::fs::remove_file(held_path(&self.path, self.token));
        }
        Ok(())
    }

    /// By rename, so that a reader sees the old state or the new one.
    fn write(&self, expires_at_ms: u64) -> Result<()> {
        let state = State {
            token: self.token,
            holder: super::holder(),
            expires_at_ms,
        };
        let path = with_suffix(&self.path, ".lease");
        let fresh = with_suffix(&self.path, ".lease.new");
        let written = || -> std::io::Result<()> {
            let file = File::create(&fresh)?;
            serde_json::to_writer(&file, &state)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)
        };
        written().map_err(|error| failed("write", &path, error))
    }
}

/// Whoever holds this may change the lease; freed when dropped.
fn guard(path: &Path) -> Result<File> {
    let path = with_suffix(path, ".lock");
    let file = open(&path)?;
    flock(&file, FlockOperation::LockExclusive)
        .map_err(|error| failed("lock", &path, error.into()))?;
    Ok(file)
}

fn read(path: &Path) -> Result<Option<State>> {
    let path = with_suffix(path, ".lease");
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let message = format!("{} is no lease of ours", path.display());
            Error::new(Kind::File, message).because(error)
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path, error)),
    }
}

fn is_alive(path: &Path, token: u64) -> Result<bool> {
    let path = held_path(path, token);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed("open", &path, error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(failed("lock", &path, error.into())),
    }
}

fn open(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    options
        .open(path)
        .map_err(|error| failed("open", path, error))
}

fn held_path(path: &Path, token: u64) -> PathBuf {
    with_suffix(path, &format!(".{token}.held"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn failed(doing: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::File, format!("cannot {doing} {}", path.display())).because(error)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_lease_has_one_holder_and_its_token_only_rises() {
        let folder = tempfile::tempdir().unwrap();
        let acquire = |ttl, floor| FileLease::acquire(folder.path(), "gold.daily", ttl, floor);
        let first = acquire(LONG, 0).unwrap();
        assert_eq!(first.token(), 1);
        let refused = acquire(LONG, 0).err().unwrap();
        assert_eq!(refused.kind().policy().exit, 75, "{refused}");
        first.release().unwrap();
        assert!(!first.renew().unwrap(), "what was released stays released");
        let second = acquire(LONG, 41).unwrap();
        assert_eq!(second.token(), 42, "above what the ledger has seen");
        assert!(!first.is_ours().unwrap());
    }

    #[test]
    fn a_killed_holder_frees_its_lease_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = FileLease::acquire(folder.path(), "x", LONG, 0).unwrap();
        // what the kernel does when the process dies: the lock goes, the state stays
        drop(first);
        assert_eq!(
            FileLease::acquire(folder.path(), "x", LONG, 0)
                .unwrap()
                .token(),
            2
        );
    }

    #[test]
    fn a_silent_holder_loses_its_lease_and_learns_it() {
        let folder = tempfile::tempdir().unwrap();
        let silent = FileLease::acquire(folder.path(), "x", Duration::ZERO, 0).unwrap();
        let next = FileLease::acquire(folder.path(), "x", LONG, 0).unwrap();
        assert_eq!(next.token(), 2);
        assert!(!silent.renew().unwrap());
        silent.release().unwrap();
        assert!(next.is_ours().unwrap(), "a stale release frees nothing");
    }
}
