//! The HTTP front: routes, authentication, and the way from a request to its query's thread.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, oneshot};

use super::execute;
use super::failure::{Code, Failure};
use super::handle::Engine;
use super::reply::{Facts, Reply};
use super::request::Request;
use super::running::{Cancel, Running};
use super::upload::{self, Upload};

/// Queries at a time; each holds a thread. Further ones wait, as long as their clients do.
const QUERIES: usize = 100;

pub struct Front {
    pub engine: Engine,
    pub facts: Arc<Facts>,
    pub running: Running,
    user: String,
    password: SecretString,
    places: Arc<Semaphore>,
}

impl Front {
    pub fn new(engine: Engine, facts: Facts, user: String, password: SecretString) -> Front {
        Front {
            running: Running::new(engine.clone()),
            engine,
            facts: Arc::new(facts),
            user,
            password,
            places: Arc::new(Semaphore::new(QUERIES)),
        }
    }

    fn admit(&self, request: &Request) -> Result<(), Failure> {
        // hashes of equal length, so that the time to compare tells nothing of the password
        let digest = |text: &str| Sha256::digest(text.as_bytes());
        let same = digest(&request.password) == digest(self.password.expose_secret());
        if same && request.user == self.user {
            return Ok(());
        }
        Err(Failure::new(
            Code::AuthenticationFailed,
            format!(
                "{}: Authentication failed: password is incorrect, or there is no user with such name",
                request.user
            ),
        ))
    }
}

pub fn router(front: Arc<Front>) -> Router {
    Router::new().fallback(answer).with_state(front)
}

async fn answer(State(front): State<Arc<Front>>, request: axum::extract::Request) -> Response {
    let has_query = request.uri().query().is_some_and(|query| !query.is_empty());
    match (request.uri().path(), request.method()) {
        ("/ping" | "/replicas_status", &Method::GET | &Method::HEAD) => "Ok.\n".into_response(),
        ("/", &Method::GET | &Method::HEAD) if !has_query => "Ok.\n".into_response(),
        ("/", &Method::GET | &Method::POST | &Method::PUT) => Box::pin(query(&front, request))
            .await
            .unwrap_or_else(|failure| refusal(&front, &failure)),
        (path, _) => {
            let text = format!("There is no handle {path}\n\nUse / or /ping for health checks.\n");
            (StatusCode::NOT_FOUND, text).into_response()
        }
    }
}

async fn query(front: &Arc<Front>, http: axum::extract::Request) -> Result<Response, Failure> {
    let mut request = Request::parse(http.method(), http.uri(), http.headers())?;
    front.admit(&request)?;
    let upload = body(&mut request, http).await?;
    let place = Arc::clone(&front.places)
        .acquire_owned()
        .await
        .map_err(|_| Failure::new(Code::Aborted, "the engine is stopping"))?;
    let ticket = front.running.enter(&request.query_id)?;
    let cancel = Cancel::of(&ticket);
    let (head, answered) = oneshot::channel();
    let reply = Reply::new(
        Arc::clone(&front.facts),
        Arc::clone(&ticket),
        &request,
        head,
    );
    let engine = front.engine.clone();
    tokio::task::spawn_blocking(move || {
        execute::run(&engine, &request, upload, reply);
        drop(place);
    });
    let response = answered
        .await
        .map_err(|_| Failure::new(Code::Unknown, "the query's thread broke off"))?;
    cancel.disarm();
    Ok(response)
}

/// A form's parts are the query and its parameters, small and read at once; any other body is data and is streamed.
async fn body(
    request: &mut Request,
    http: axum::extract::Request,
) -> Result<Option<Upload>, Failure> {
    let is_form = http
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("multipart/form-data"));
    if !is_form {
        return Ok(Some(upload::receive(http.into_body())));
    }
    let broken = |source: &dyn std::fmt::Display| {
        Failure::new(
            Code::CannotReadAllData,
            format!("cannot read the form: {source}"),
        )
    };
    let mut form = Multipart::from_request(http, &())
        .await
        .map_err(|source| broken(&source))?;
    while let Some(part) = form.next_field().await.map_err(|source| broken(&source))? {
        let name = part.name().unwrap_or_default().to_owned();
        if part.file_name().is_some() {
            return Err(Failure::new(
                Code::NotImplemented,
                "External tables are not supported by the embedded engine",
            ));
        }
        let value = part.text().await.map_err(|source| broken(&source))?;
        request.take(&name, value);
    }
    Ok(None)
}

/// An answer without a query behind it.
fn refusal(front: &Front, failure: &Failure) -> Response {
    let text = failure.text(&front.facts.version);
    let mut response = (failure.status(), Body::from(text)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=UTF-8"),
    );
    headers.insert("x-clickhouse-exception-code", failure.code().into());
    response
}
