//! A schema registry with Confluent's interface: the schema of an id.

use std::time::Duration;

use reqwest::StatusCode;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::config;
use crate::envelope::{Decoder, Schema};
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::tls::{self, Distrust};

/// An answer is a few kilobytes from memory; whoever needs longer is asked again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A follower of the registry may learn of a schema after the producer's first message with it. Who garbles ids waits so long
/// for each of them.
const UNKNOWN_AGAIN: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
/// What Confluent's interface calls a missing type: its first and default one.
const AVRO: &str = "AVRO";

const TLS: tls::Settings = tls::Settings {
    address: "registry.url",
    ca_file: "registry.ca_file",
    certificate: None,
};

#[derive(Clone, Debug)]
pub struct Registry {
    http: reqwest::Client,
    config: config::Registry,
    url: String,
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(rename = "schemaType")]
    kind: Option<String>,
}

impl Registry {
    /// Nothing where the configuration names no registry.
    pub fn new(config: &config::Registry) -> Result<Option<Registry>> {
        let Some(url) = config.url.clone() else {
            return Ok(None);
        };
        tls::install();
        let mut http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT);
        if url.starts_with("https:") {
            http = http.tls_backend_preconfigured(tls::client(config.ca_file.as_deref())?);
        }
        let http = http.build().map_err(|error| {
            Error::new(Kind::Internal, "cannot make an HTTP client").because(error)
        })?;
        Ok(Some(Registry {
            http,
            config: config.clone(),
            url,
        }))
    }

    /// The schema of this id; nothing where the registry has none, or none that is Avro and can be read.
    pub async fn schema(&self, id: u32) -> Result<Option<Schema>> {
        let mut answer = self.ask(id).await?;
        for pause in UNKNOWN_AGAIN {
            if answer.is_some() {
                break;
            }
            tokio::time::sleep(pause).await;
            answer = self.ask(id).await?;
        }
        let text = match answer {
            None => "the registry has no such schema".to_owned(),
            Some(answer) => match answer.kind.as_deref().unwrap_or(AVRO) {
                AVRO => match Schema::parse(&answer.schema) {
                    Ok(schema) => return Ok(Some(schema)),
                    Err(fault) => fault,
                },
                other => format!("it is {other}, not Avro"),
            },
        };
        tracing::warn!(
            id,
            fault = text,
            "schema cannot be used, its messages are rejected"
        );
        Ok(None)
    }

    async fn ask(&self, id: u32) -> Result<Option<Answer>> {
        let mut request = self.http.get(format!("{}/schemas/ids/{id}", self.url));
        if let Some(user) = &self.config.user {
            let password = self
                .config
                .password
                .as_ref()
                .map(ExposeSecret::expose_secret);
            request = request.basic_auth(user, password);
        }
        let unreachable = |error: reqwest::Error| {
            if let Some(distrust) = Distrust::of(&error) {
                return distrust.error(&format!("the schema registry at {}", self.url), &TLS);
            }
            let message = format!("cannot reach the schema registry at {}", self.url);
            Error::new(Kind::Unreachable, message).because(error.without_url())
        };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let kind = match status {
            StatusCode::OK => {
                let bytes = answer.bytes().await.map_err(unreachable)?;
                let read = serde_json::from_slice(&bytes);
                return read.map(Some).map_err(|error| {
                    let message =
                        format!("{} answered no schema: is it a schema registry?", self.url);
                    Error::new(Kind::Busy, message).because(error)
                });
            }
            StatusCode::NOT_FOUND => return self.no_such_schema(answer).await,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
            _ => Kind::Busy,
        };
        let message = format!(
            "the schema registry at {} answered {status} for schema {id}",
            self.url
        );
        Err(Error::new(kind, message))
    }

    /// Only a registry says so in its own words; a wrong address answers 404 as well, and its messages are not to blame.
    async fn no_such_schema(&self, answer: reqwest::Response) -> Result<Option<Answer>> {
        #[derive(Deserialize)]
        struct Refusal {
            error_code: u32,
        }
        /// a missing schema has a code of five digits that begins with the status
        const NOT_FOUND: std::ops::RangeInclusive<u32> = 40_400..=40_499;
        let refusal = answer.json::<Refusal>().await;
        match refusal.is_ok_and(|refusal| NOT_FOUND.contains(&refusal.error_code)) {
            true => Ok(None),
            false => {
                let message = format!("there is no schema registry at {}", self.url);
                let advice = "registry.url ends where `/schemas/ids/…` begins; Apicurio's ends with `/apis/ccompat/v7`";
                Err(Error::new(Kind::Busy, message).advise(advice))
            }
        }
    }
}

/// Tells the decoder every schema that a message needs; `missing` asks it for the next one.
pub async fn teach(
    registry: Option<&Registry>,
    decoder: &mut Decoder,
    job: &SilverJob,
    missing: impl Fn(&Decoder) -> Option<u32>,
) -> Result<()> {
    while let Some(id) = missing(decoder) {
        let registry = registry.ok_or_else(|| needed(&job.name))?;
        decoder.learn_schema(id, registry.schema(id).await?);
    }
    Ok(())
}

/// The error for a job whose messages need a registry that nobody has configured.
pub fn needed(job: &str) -> Error {
    let message = format!("job {job} reads Avro, and no schema registry is configured");
    Error::new(Kind::Config, message)
        .advise("set `registry.url` in bullion.toml or BULLION_REGISTRY_URL")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_schema_that_a_follower_learns_of_late_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = config::Registry {
            url: Some(format!("http://{}", listener.local_addr().unwrap())),
            user: None,
            password: None,
            ca_file: None,
        };
        let answers = [
            (
                "404 Not Found",
                r#"{"error_code":40403,"message":"Schema not found"}"#,
            ),
            (
                "200 OK",
                r#"{"schema":"{\"type\":\"record\",\"name\":\"r\",\"fields\":[]}"}"#,
            ),
        ];
        let answering = tokio::spawn(async move {
            for (status, body) in answers {
                let (mut client, _) = listener.accept().await.unwrap();
                let _ = client.read(&mut [0; 4096]).await;
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                client.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let registry = Registry::new(&config).unwrap().unwrap();
        assert!(registry.schema(7).await.unwrap().is_some());
        answering.await.unwrap();
    }
}
