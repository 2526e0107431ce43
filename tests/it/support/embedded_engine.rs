//! An engine for one test as the binary itself starts it, through the library: what it answers, byte by byte.

use std::path::Path;
use std::time::Instant;

use bullion::embedded::engine::Child;
use clickhouse::{Client, Compression};
use secrecy::ExposeSecret as _;

use super::program::PROGRAM;
use super::{PATIENCE, http};

pub struct EmbeddedEngine {
    pub child: Child,
    pub folder: tempfile::TempDir,
}

pub async fn engine() -> EmbeddedEngine {
    let folder = tempfile::tempdir().unwrap();
    let child = start(folder.path()).await;
    EmbeddedEngine { child, folder }
}

pub async fn start(data: &Path) -> Child {
    Child::start(Path::new(PROGRAM), data).await.unwrap()
}

/// The official crate with its defaults: LZ4 is on.
pub fn client(child: &Child) -> Client {
    Client::default()
        .with_url(&child.url)
        .with_user(&child.user)
        .with_password(child.password.expose_secret())
        .with_compression(Compression::Lz4)
}

impl EmbeddedEngine {
    pub fn client(&self) -> Client {
        client(&self.child)
    }

    pub async fn count(&self, sql: &str) -> u64 {
        self.client().query(sql).fetch_one::<u64>().await.unwrap()
    }

    /// Waits on a condition in the engine, never on time.
    pub async fn until(&self, sql: &str, expected: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.count(sql).await;
            if found == expected {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{sql} gives {found}, not {expected}"
            );
            tokio::task::yield_now().await;
        }
    }

    /// Plain HTTP: status, headers, body.
    pub async fn post(&self, url: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(reqwest::Method::POST, url, body).await
    }

    pub async fn send(
        &self,
        method: reqwest::Method,
        url: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let response = http()
            .request(method, format!("{}{url}", self.child.url))
            .header("X-ClickHouse-User", &self.child.user)
            .header("X-ClickHouse-Key", self.child.password.expose_secret())
            .body(body)
            .send()
            .await
            .unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}
