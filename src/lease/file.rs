//! A lease in a folder of one host.
//!
//! ```text
//! <target>.7.lease    {"holder": "host/pid", "expires_at_ms": …} of token 7; made once, afterwards written by its holder alone
//! <target>.7.held     locked for as long as the process of token 7 lives: a killed holder frees it at once
//! ```
//!
//! The highest token has the lease. Nobody waits for anybody: a process that is stopped at any line of this file keeps no
//! other from taking the lease over, and what it writes when it wakes is under its own, lower token.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

const LEASE: &str = "lease";
const HELD: &str = "held";

#[derive(Serialize, Deserialize)]
struct State {
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
        let before = highest(&path)?;
        if let Some(holder) = holder(&path, before)? {
            return Err(taken(target, &holder));
        }
        let token = before.max(floor) + 1;
        let held_path = of_token(&path, token, HELD);
        let held = open(&held_path)?;
        match flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(taken(target, "another process")),
            Err(error) => return Err(failed("lock", &held_path, error.into())),
        }
        let lease = FileLease {
            path,
            token,
            ttl,
            _held: held,
        };
        // of several who come at once, and of those who slept since they looked, one makes the highest
        if !lease.claim()? || !lease.is_ours()? {
            return Err(taken(target, "another process"));
        }
        lease.forget_older();
        Ok(lease)
    }

    /// The token that has the lease now, for those who only look.
    pub fn held(folder: &Path, target: &str) -> Result<Option<u64>> {
        if !folder.is_dir() {
            return Ok(None);
        }
        let path = folder.join(target);
        let token = highest(&path)?;
        Ok(holder(&path, token)?.map(|_| token))
    }

    pub fn token(&self) -> u64 {
        self.token
    }

    pub fn is_ours(&self) -> Result<bool> {
        let state = read(&self.path, self.token)?;
        let released = state.is_none_or(|state| state.expires_at_ms == 0);
        Ok(!released && highest(&self.path)? == self.token)
    }

    /// False once somebody else has it.
    pub fn renew(&self) -> Result<bool> {
        let ours = self.is_ours()?;
        if ours {
            self.say(now_ms() + millis(self.ttl))?;
        }
        Ok(ours)
    }

    pub fn release(&self) -> Result<()> {
        if self.is_ours()? {
            self.say(0)?;
            let _gone = std::fs::remove_file(of_token(&self.path, self.token, HELD));
        }
        Ok(())
    }

    /// False where somebody made this token's state before us; it is whole from its first moment.
    fn claim(&self) -> Result<bool> {
        let fresh = self.write(now_ms() + millis(self.ttl))?;
        let path = of_token(&self.path, self.token, LEASE);
        let linked = std::fs::hard_link(&fresh, &path);
        let _gone = std::fs::remove_file(fresh);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failed("make", &path, error)),
        }
    }

    /// By rename, so that a reader sees the old state or the new one.
    fn say(&self, expires_at_ms: u64) -> Result<()> {
        let fresh = self.write(expires_at_ms)?;
        let path = of_token(&self.path, self.token, LEASE);
        std::fs::rename(fresh, &path).map_err(|error| failed("write", &path, error))
    }

    /// What this process is about to say, in a file of its own.
    fn write(&self, expires_at_ms: u64) -> Result<PathBuf> {
        let state = State {
            holder: super::holder(),
            expires_at_ms,
        };
        let fresh = of_token(
            &self.path,
            self.token,
            &format!("{}.new", uuid::Uuid::new_v4()),
        );
        let written = || -> std::io::Result<()> {
            let file = File::create(&fresh)?;
            serde_json::to_writer(&file, &state)?;
            file.sync_all()
        };
        written().map_err(|error| failed("write", &fresh, error))?;
        Ok(fresh)
    }

    /// Nobody looks at lower tokens any more; what cannot be removed is in nobody's way.
    fn forget_older(&self) {
        for (token, path) in files(&self.path).unwrap_or_default() {
            if token < self.token {
                let _gone = std::fs::remove_file(path);
            }
        }
    }
}

fn taken(target: &str, by: &str) -> Error {
    Error::new(Kind::LeaseHeld, format!("{target} is being built by {by}"))
}

/// Who has the lease by this token, where its time has not passed and its process lives.
fn holder(path: &Path, token: u64) -> Result<Option<String>> {
    match read(path, token)? {
        Some(state) if state.expires_at_ms > now_ms() && is_alive(path, token)? => {
            Ok(Some(state.holder))
        }
        _ => Ok(None),
    }
}

/// The token that has the lease, or had it last; 0 where nobody ever did.
fn highest(path: &Path) -> Result<u64> {
    let files = files(path).map_err(|error| failed("list the folder of", path, error))?;
    let suffix = format!(".{LEASE}");
    let leases = files.iter().filter(|(_, path)| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with(&suffix))
    });
    Ok(leases.map(|(token, _)| *token).max().unwrap_or(0))
}

/// `<target>.<token>.…` with their tokens.
fn files(path: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let target = path.file_name().and_then(|name| name.to_str());
    let start = format!("{}.", target.unwrap_or_default());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&start));
        let token = rest.and_then(|rest| rest.split('.').next());
        if let Some(Ok(token)) = token.map(str::parse) {
            found.push((token, entry.path()));
        }
    }
    Ok(found)
}

fn read(path: &Path, token: u64) -> Result<Option<State>> {
    let path = of_token(path, token, LEASE);
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
    let path = of_token(path, token, HELD);
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

fn of_token(path: &Path, token: u64, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{token}.{what}"));
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
        let held = || FileLease::held(folder.path(), "gold.daily").unwrap();
        assert_eq!(held(), None);
        let first = acquire(LONG, 0).unwrap();
        assert_eq!((first.token(), held()), (1, Some(1)));
        let refused = acquire(LONG, 0).err().unwrap();
        assert_eq!(refused.kind().policy().exit, 75, "{refused}");
        first.release().unwrap();
        assert_eq!(held(), None);
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
        assert_eq!(FileLease::held(folder.path(), "x").unwrap(), None);
        assert_eq!(
            FileLease::acquire(folder.path(), "x", LONG, 0)
                .unwrap()
                .token(),
            2
        );
    }

    #[test]
    fn a_process_that_slept_on_its_way_to_the_lease_does_not_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let late = FileLease {
            path: path.clone(),
            token: 1,
            ttl: LONG,
            _held: open(&of_token(&path, 1, HELD)).unwrap(),
        };
        let first = FileLease::acquire(folder.path(), "x", LONG, 5).unwrap();
        assert!(late.claim().unwrap(), "nobody has made this token");
        assert!(!late.is_ours().unwrap(), "but a higher one has the lease");
        assert!(!late.renew().unwrap());
        late.release().unwrap();
        assert!(first.is_ours().unwrap());
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
