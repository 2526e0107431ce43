//! Where archive files are: a folder of this machine, or a bucket. Paths are relative to it, with `/`.

mod folder;
#[cfg(feature = "archive")]
mod s3;

use std::path::PathBuf;

use bytes::Bytes;

use super::Settings;
use crate::error::{Error, Result};

pub enum Store {
    Folder(PathBuf),
    #[cfg(feature = "archive")]
    S3(Box<s3::S3>),
}

/// What one folder holds itself, by their own names, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub folders: Vec<String>,
    pub files: Vec<String>,
}

impl Store {
    #[cfg(feature = "archive")]
    pub fn open(settings: &Settings) -> Result<Store> {
        match &settings.place {
            super::Place::Folder(path) => Ok(Store::Folder(path.clone())),
            super::Place::S3(bucket) => Ok(Store::S3(Box::new(s3::S3::open(bucket)?))),
        }
    }

    #[cfg(not(feature = "archive"))]
    pub fn open(_: &Settings) -> Result<Store> {
        Err(crate::feature::left_out(crate::feature::Feature::Archive))
    }

    /// A folder that is not there is empty.
    pub async fn look(&self, path: &str) -> Result<Listing> {
        let mut listing = match self {
            Store::Folder(root) => {
                let (root, path) = (root.clone(), path.to_owned());
                blocking(move || folder::look(&root, &path)).await?
            }
            #[cfg(feature = "archive")]
            Store::S3(s3) => s3.look(path).await?,
        };
        listing.folders.sort();
        listing.files.sort();
        Ok(listing)
    }

    pub async fn read(&self, path: &str) -> Result<Bytes> {
        match self {
            Store::Folder(root) => {
                let (root, path) = (root.clone(), path.to_owned());
                blocking(move || folder::read(&root, &path)).await
            }
            #[cfg(feature = "archive")]
            Store::S3(s3) => s3.read(path).await,
        }
    }

    /// The file is there whole, and stays when the machine goes down, once this returns; before that it is not there. One of
    /// the same name is replaced.
    pub async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        match self {
            Store::Folder(root) => {
                let (root, path) = (root.clone(), path.to_owned());
                blocking(move || folder::write(&root, &path, &bytes)).await
            }
            #[cfg(feature = "archive")]
            Store::S3(s3) => s3.write(path, bytes).await,
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(Error::panicked)?
}
