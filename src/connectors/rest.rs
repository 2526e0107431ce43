//! Kafka Connect's REST interface.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::catalog::refused;
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::tls::{self, Distrust};

/// Validating opens a connection to the source, which may take a while to fail.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Workers answer 409 while they share out connectors.
const REBALANCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(500);
/// A task that fails at its first step does so between two looks.
const STEADY_LOOKS: u32 = 2;

const TLS: tls::Settings = tls::Settings {
    address: "connect.url",
    ca_file: "connect.ca_file",
    certificate: None,
};

pub struct Connect {
    http: reqwest::Client,
    config: config::Connect,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub connector: Task,
    pub tasks: Vec<Task>,
}

/// The connector itself or one of its tasks.
#[derive(Clone, Debug, Deserialize)]
pub struct Task {
    pub state: State,
    #[serde(default)]
    pub worker_id: String,
    trace: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
    /// also what newer workers may come to say
    #[serde(other)]
    Unassigned,
}

impl Status {
    pub fn is_running(&self) -> bool {
        self.connector.state == State::Running
            && !self.tasks.is_empty()
            && self.tasks.iter().all(|task| task.state == State::Running)
    }

    /// Why it failed, where it did.
    pub fn failure(&self) -> Option<String> {
        let mut parts = self.tasks.iter().chain([&self.connector]);
        let failed = parts.find(|part| part.state == State::Failed)?;
        Some(failed.reason())
    }
}

impl Task {
    /// The trace's first line and its deepest cause.
    pub fn reason(&self) -> String {
        let trace = self.trace.as_deref().unwrap_or_default();
        let first = trace.lines().next().unwrap_or("no trace").trim();
        let cause = trace
            .lines()
            .rev()
            .find_map(|line| line.trim().strip_prefix("Caused by: "));
        match cause {
            Some(cause) if !first.contains(cause) => format!("{first} ({cause})"),
            _ => first.to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct Validated {
    configs: Vec<ValidatedSetting>,
}

#[derive(Deserialize)]
struct ValidatedSetting {
    value: ValidatedValue,
}

#[derive(Deserialize)]
struct ValidatedValue {
    name: String,
    errors: Vec<String>,
}

impl Connect {
    pub fn new(config: &config::Connect) -> Result<Connect> {
        tls::install();
        let mut http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT);
        if config.url.starts_with("https:") {
            http = http.tls_backend_preconfigured(tls::client(config.ca_file.as_deref())?);
        }
        let http = http.build().map_err(|error| {
            Error::new(Kind::Internal, "cannot make an HTTP client").because(error)
        })?;
        Ok(Connect {
            http,
            config: config.clone(),
        })
    }

    pub async fn names(&self) -> Result<Vec<String>> {
        let (_, names) = self.ask(Method::GET, &["connectors"], None).await?;
        Ok(serde_json::from_value(names).unwrap_or_default())
    }

    /// What Kafka Connect runs under that name.
    pub async fn config(&self, name: &str) -> Result<Option<BTreeMap<String, String>>> {
        let (status, config) = self
            .ask(Method::GET, &["connectors", name, "config"], None)
            .await?;
        Ok(match status {
            StatusCode::NOT_FOUND => None,
            _ => serde_json::from_value(config).ok(),
        })
    }

    pub async fn status(&self, name: &str) -> Result<Option<Status>> {
        let (status, answer) = self
            .ask(Method::GET, &["connectors", name, "status"], None)
            .await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let parsed = serde_json::from_value(answer);
        parsed.map(Some).map_err(|error| {
            let message = format!("Kafka Connect's status of {name} cannot be understood");
            Error::new(Kind::Mismatch, message).because(error)
        })
    }

    /// `setting: error` for everything that the connector itself finds wrong, the source's answer included.
    pub async fn validate(
        &self,
        name: &str,
        config: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, String)>> {
        let class = config.get("connector.class").map_or("", String::as_str);
        let mut body = config.clone();
        body.insert("name".to_owned(), name.to_owned());
        let path = ["connector-plugins", class, "config", "validate"];
        let (status, answer) = self.ask(Method::PUT, &path, Some(&body)).await?;
        if status == StatusCode::NOT_FOUND {
            let message = format!("Kafka Connect does not know {class}");
            return Err(Error::new(Kind::Mismatch, message).advise(
                "put the connector's jars into a folder of the worker's plugin.path and restart it",
            ));
        }
        let validated: Validated = serde_json::from_value(answer).map_err(|error| {
            Error::new(
                Kind::Mismatch,
                "Kafka Connect's validation cannot be understood",
            )
            .because(error)
        })?;
        let errors = validated.configs.into_iter().flat_map(|setting| {
            let name = setting.value.name;
            setting
                .value
                .errors
                .into_iter()
                .map(move |error| (name.clone(), error))
        });
        Ok(errors.collect())
    }

    pub async fn put(&self, name: &str, config: &BTreeMap<String, String>) -> Result<()> {
        self.ask(Method::PUT, &["connectors", name, "config"], Some(config))
            .await?;
        Ok(())
    }

    /// Failed tasks begin again; stopped and paused connectors go on.
    pub async fn revive(&self, name: &str, status: &Status) -> Result<()> {
        if matches!(status.connector.state, State::Paused | State::Stopped) {
            self.ask(Method::PUT, &["connectors", name, "resume"], None)
                .await?;
        }
        if status.failure().is_some() {
            let path = [
                "connectors",
                name,
                "restart?includeTasks=true&onlyFailed=true",
            ];
            self.ask(Method::POST, &path, None).await?;
        }
        Ok(())
    }

    /// Waits until every task runs. A task that failed is an error with the reason.
    pub async fn await_running(&self, name: &str, patience: Duration) -> Result<Status> {
        let deadline = Instant::now() + patience;
        let mut looks = 0;
        loop {
            let status = self.status(name).await?;
            looks = match &status {
                Some(status) if status.is_running() => looks + 1,
                _ => 0,
            };
            if let Some(reason) = status.as_ref().and_then(Status::failure) {
                return Err(failed(name, &reason));
            }
            if let Some(status) = status.filter(|_| looks >= STEADY_LOOKS) {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let message = format!(
                    "connector {name} does not run after {} s",
                    patience.as_secs()
                );
                return Err(Error::new(Kind::Busy, message).advise(
                    "look again: `bullion connectors status`; else see Kafka Connect's log",
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Its tasks end, its configuration and offsets stay.
    pub async fn stop(&self, name: &str) -> Result<()> {
        self.ask(Method::PUT, &["connectors", name, "stop"], None)
            .await?;
        let deadline = Instant::now() + REBALANCE;
        while let Some(status) = self.status(name).await? {
            if status.connector.state == State::Stopped && status.tasks.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                let message = format!("connector {name} does not stop");
                return Err(Error::new(Kind::Busy, message).advise("see Kafka Connect's log"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Forgets where a stopped connector had read to.
    pub async fn forget_offsets(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, &["connectors", name, "offsets"], None)
            .await?;
        Ok(())
    }

    /// Kafka Connect answers before its workers have heard of it: gone is what nobody lists and nobody runs.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.ask(Method::DELETE, &["connectors", name], None)
            .await?;
        let deadline = Instant::now() + REBALANCE;
        while self.status(name).await?.is_some() || self.names().await?.iter().any(|n| n == name) {
            if Instant::now() > deadline {
                let message = format!("connector {name} does not end");
                return Err(Error::new(Kind::Busy, message).advise("see Kafka Connect's log"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// One request, again while workers share out their connectors; 404 is an answer.
    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&BTreeMap<String, String>>,
    ) -> Result<(StatusCode, Value)> {
        let deadline = Instant::now() + REBALANCE;
        loop {
            let (status, answer) = self.send(method.clone(), path, body).await?;
            if status.is_success() || status == StatusCode::NOT_FOUND {
                return Ok((status, answer));
            }
            if status != StatusCode::CONFLICT || Instant::now() > deadline {
                return Err(self.explain(status, &answer));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&BTreeMap<String, String>>,
    ) -> Result<(StatusCode, Value)> {
        let unreachable = |error: reqwest::Error| {
            if let Some(distrust) = Distrust::of(&error) {
                return distrust.error(&format!("Kafka Connect at {}", self.config.url), &TLS);
            }
            Error::new(Kind::Unreachable, format!("cannot reach Kafka Connect at {}", self.config.url))
                .because(error.without_url())
                .advise("check that a worker runs there and that connect.url (BULLION_CONNECT_URL) names its REST listener")
        };
        let mut request = self
            .http
            .request(method, format!("{}/{}", self.config.url, path.join("/")));
        if let Some(user) = &self.config.user {
            let password = self.config.password.as_ref();
            request = request.basic_auth(user, password.map(ExposeSecret::expose_secret));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let text = response.text().await.map_err(unreachable)?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    fn explain(&self, status: StatusCode, answer: &Value) -> Error {
        let said = answer
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or("no message");
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Denied,
            StatusCode::CONFLICT => Kind::Busy,
            status if status.is_client_error() => Kind::Config,
            _ => Kind::Busy,
        };
        let message = format!(
            "Kafka Connect at {} answered {}: {said}",
            self.config.url,
            status.as_u16()
        );
        match refused(said) {
            Some((kind, advice)) => Error::new(kind, message).advise(advice),
            None if said.contains("Failed to find any class") => Error::new(
                Kind::Mismatch,
                message,
            )
            .advise(
                "put the connector's jars into a folder of the worker's plugin.path and restart it",
            ),
            None => Error::new(kind, message),
        }
    }
}

/// The error for a connector that gave up, with the command that helps where the reason is a known one.
pub(super) fn failed(name: &str, reason: &str) -> Error {
    let message = format!("connector {name} failed: {reason}");
    match refused(reason) {
        Some((kind, advice)) => Error::new(kind, message).advise(advice),
        None => Error::new(Kind::Busy, message)
            .advise("correct the cause, then `bullion connectors apply` starts it again"),
    }
}
