//! A bucket of S3, or of what speaks like it (MinIO).

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore as _, ObjectStoreExt as _, RetryConfig};
use secrecy::ExposeSecret;

use super::Listing;
use crate::archive::Bucket;
use crate::error::{Error, Kind, Result};

/// Of one request: a file of `roll_bytes` has to pass in it, on a line of a few Mbit/s, too.
const REQUEST_TIMEOUT: &str = "180 s";
const TIMEOUT: AmazonS3ConfigKey = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
/// What passes by itself is asked again for a few seconds; who writes waits for longer, and says so.
const TRIES: usize = 4;
const TRIED_FOR: Duration = Duration::from_secs(10);

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
            .with_region(&bucket.region)
            .with_config(TIMEOUT, REQUEST_TIMEOUT)
            .with_retry(RetryConfig {
                max_retries: TRIES,
                retry_timeout: TRIED_FOR,
                ..RetryConfig::default()
            });
        if let Some(endpoint) = &bucket.endpoint {
            let plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(plain);
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
        let said = beneath(&error);
        let message = format!("cannot {what} {}/{path}", self.place);
        let (kind, advice) = sort(&said);
        Error::new(kind, message)
            .because(sentence(&said))
            .advise(advice)
    }
}

/// What the server or the network said: every layer above it says the same once more.
fn beneath(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(error) = deepest.source() {
        deepest = error;
    }
    deepest.to_string()
}

/// By the status of HTTP, which the client's own kinds do not tell of a list.
fn sort(said: &str) -> (Kind, &'static str) {
    let status = said
        .split_once("status code: ")
        .map_or("", |(_, rest)| rest);
    match status.get(..3) {
        Some("401" | "403") => (
            Kind::Denied,
            "check archive.access_key and BULLION_ARCHIVE_SECRET_KEY, and that they may list, read and write there",
        ),
        Some("404") => (
            Kind::NotFound,
            "check the bucket that archive.url names, which has to be there: bullion makes no bucket",
        ),
        // no connection, or an answer of 5xx, again and again
        _ => (
            Kind::Unreachable,
            "check that it runs, and archive.endpoint and archive.region",
        ),
    }
}

/// Of a server's page of XML its code and its sentence.
fn sentence(said: &str) -> String {
    match (element(said, "Code"), element(said, "Message")) {
        (Some(code), Some(message)) => format!("{code}: {}", message.trim_end_matches('.')),
        _ => said.to_owned(),
    }
}

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_page_of_xml_the_code_and_the_sentence_are_told() {
        let page = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?><Error>\
            <Code>InvalidAccessKeyId</Code><Message>The key does not exist.</Message><BucketName>b</BucketName></Error>";
        let layers = [page, "no answer"].map(|text| object_store::Error::Generic {
            store: "S3",
            source: Box::new(std::io::Error::other(text)),
        });
        let told = layers.map(|error| sentence(&beneath(&error)));
        assert_eq!(
            told,
            ["InvalidAccessKeyId: The key does not exist", "no answer"]
        );
        assert_eq!(sort(page).0, Kind::Denied);
        assert_eq!(sort("no answer").0, Kind::Unreachable);
    }
}
