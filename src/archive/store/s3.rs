//! A bucket of S3, or of what speaks like it (MinIO).

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore as _, ObjectStoreExt as _};
use secrecy::ExposeSecret;

use super::Listing;
use crate::archive::Bucket;
use crate::error::{Error, Kind, Result};

pub struct S3 {
    client: AmazonS3,
    prefix: Path,
    /// for messages
    place: String,
}

impl S3 {
    pub fn open(bucket: &Bucket) -> Result<S3> {
        crate::tls::install();
        // AWS's own variables and roles, where nothing of ours says otherwise
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region);
        if let Some(endpoint) = &bucket.endpoint {
            let plain = endpoint.starts_with("http://");
            builder = builder
                .with_endpoint(endpoint)
                .with_client_options(ClientOptions::new().with_allow_http(plain));
        }
        if let Some(key) = &bucket.access_key {
            builder = builder.with_access_key_id(key);
        }
        if let Some(key) = &bucket.secret_key {
            builder = builder.with_secret_access_key(key.expose_secret());
        }
        let place = format!("s3://{}", bucket.name);
        let client = builder.build().map_err(|error| {
            Error::new(Kind::Config, format!("{place} cannot be used")).because(error)
        })?;
        Ok(S3 {
            client,
            prefix: Path::from(bucket.prefix.as_str()),
            place,
        })
    }

    fn at(&self, path: &str) -> Path {
        let mut whole = self.prefix.clone();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            whole = whole.join(part);
        }
        whole
    }

    pub async fn look(&self, path: &str) -> Result<Listing> {
        let found = self.client.list_with_delimiter(Some(&self.at(path))).await;
        let found = found.map_err(|error| self.explain("list", path, error))?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(Listing {
            folders: found.common_prefixes.iter().filter_map(name).collect(),
            files: found
                .objects
                .iter()
                .filter_map(|object| name(&object.location))
                .collect(),
        })
    }

    pub async fn read(&self, path: &str) -> Result<Bytes> {
        let read = async { self.client.get(&self.at(path)).await?.bytes().await };
        read.await
            .map_err(|error| self.explain("read", path, error))
    }

    pub async fn write(&self, path: &str, bytes: Bytes) -> Result<()> {
        let put = self.client.put(&self.at(path), bytes.into()).await;
        put.map_err(|error| self.explain("write", path, error))?;
        Ok(())
    }

    fn explain(&self, what: &str, path: &str, error: object_store::Error) -> Error {
        use object_store::Error as Cause;
        let kind = match &error {
            Cause::NotFound { .. } => Kind::NotFound,
            Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => Kind::Denied,
            // its text ends with what lies beneath: no connection, or an answer of 5xx after ten tries
            _ => Kind::Unreachable,
        };
        let message = format!("cannot {what} {}/{path}", self.place);
        Error::new(kind, message).because(error)
    }
}
