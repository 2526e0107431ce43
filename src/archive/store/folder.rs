//! A folder of this machine.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use bytes::Bytes;

use super::Listing;
use crate::error::{Error, Kind, Result};

pub fn look(root: &Path, path: &str) -> Result<Listing> {
    let folder = root.join(path);
    let mut listing = Listing::default();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(fault("list", &folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(fault("list", &folder))?;
        // a name that is no text is none of ours
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        match entry.file_type().map_err(fault("list", &folder))?.is_dir() {
            true => listing.folders.push(name),
            false => listing.files.push(name),
        }
    }
    Ok(listing)
}

pub fn read(root: &Path, path: &str) -> Result<Bytes> {
    let file = root.join(path);
    let bytes = fs::read(&file).map_err(fault("read", &file))?;
    Ok(Bytes::from(bytes))
}

/// Under another name first: what a crash leaves of it is no archive file, and the next try writes over it.
pub fn write(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let file = root.join(path);
    let folder = file.parent().unwrap_or(root);
    let unfinished = file.with_extension(format!("{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut open = File::create(&unfinished)?;
        open.write_all(bytes)?;
        open.sync_all()?;
        fs::rename(&unfinished, &file)?;
        // every folder on the way may be new
        let mut made = Some(folder);
        while let Some(folder) = made.filter(|folder| folder.starts_with(root)) {
            File::open(folder)?.sync_all()?;
            made = folder.parent();
        }
        Ok(())
    };
    write().map_err(fault("write", &file))
}

fn fault(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let message = format!("cannot {what} {}", path.display());
    |error| Error::new(Kind::File, message).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_whole_and_a_rewrite_replaces_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = "orders/epoch=1/date=2026-11-21";
        let file = format!("{folder}/00000-1-2.parquet");
        assert_eq!(look(root.path(), folder).unwrap(), Listing::default());
        write(root.path(), &file, b"first").unwrap();
        write(root.path(), &file, b"again").unwrap();
        assert_eq!(read(root.path(), &file).unwrap(), "again");
        let listing = look(root.path(), folder).unwrap();
        assert_eq!(listing.files, ["00000-1-2.parquet"]);
        assert_eq!(look(root.path(), "orders").unwrap().folders, ["epoch=1"]);
    }
}
