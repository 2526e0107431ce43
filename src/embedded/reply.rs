//! The answer of one query: held back while it is small, so that status and summary tell the whole truth, then streamed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::sync::{mpsc, oneshot};

use super::answer::Figures;
use super::failure::{Code, Failure};
use super::packing::Packing;
use super::request::Request;
use super::running::{Cancel, Ticket};

/// A result up to this size is answered whole, with its full summary and, if it fails, a proper status.
const HELD: usize = 1 << 20;
/// Pieces of a streamed result that wait for the client.
const PIECES: usize = 4;
/// Around an exception's trailer, and how long a slow client's queue may take before it.
const APART: Duration = Duration::from_millis(100);
const SLOW_CLIENT: Duration = Duration::from_secs(5);

/// What every answer says about the engine.
#[derive(Clone, Debug)]
pub struct Facts {
    pub version: String,
    pub timezone: String,
    pub display_name: String,
}

pub struct Reply {
    facts: Arc<Facts>,
    ticket: Arc<Ticket>,
    packing: Packing,
    wait_end: bool,
    format: String,
    started: Instant,
    figures: Figures,
    held: Vec<u8>,
    head: Option<oneshot::Sender<Response>>,
    pieces: Option<mpsc::Sender<io::Result<Bytes>>>,
    tag: String,
}

impl Reply {
    pub fn new(
        facts: Arc<Facts>,
        ticket: Arc<Ticket>,
        request: &Request,
        head: oneshot::Sender<Response>,
    ) -> Reply {
        let tag = uuid::Uuid::new_v4().simple().to_string();
        Reply {
            facts,
            ticket,
            packing: Packing::of(request),
            wait_end: request.wait_end,
            format: String::from("TabSeparated"),
            started: Instant::now(),
            figures: Figures::default(),
            held: Vec::new(),
            head: Some(head),
            pieces: None,
            tag: tag[..16].to_owned(),
        }
    }

    /// Before the first `write`.
    pub fn set_format(&mut self, format: &str) {
        format.clone_into(&mut self.format);
    }

    pub fn count(&mut self, figures: Figures) {
        self.figures += figures;
    }

    pub fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        if self.pieces.is_none() {
            self.held.extend_from_slice(data);
            if self.held.len() <= HELD || self.wait_end {
                return Ok(());
            }
            let held = std::mem::take(&mut self.held);
            let (sender, receiver) = mpsc::channel(PIECES);
            let stream = Pieces {
                receiver,
                _cancel: Cancel::of(&self.ticket),
            };
            let encoding = self.packing.content_encoding();
            self.send(StatusCode::OK, Body::from_stream(stream), Ok(encoding));
            self.pieces = Some(sender);
            return self.push(&held);
        }
        self.push(data)
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Failure> {
        let piece = self.packing.piece(data).map_err(unpackable)?;
        self.hand(piece.into())
    }

    fn hand(&self, piece: Bytes) -> Result<(), Failure> {
        match &self.pieces {
            Some(pieces) if pieces.blocking_send(Ok(piece)).is_ok() => Ok(()),
            _ => Err(Failure::new(Code::Aborted, "the client went away")),
        }
    }

    /// All of a held answer.
    fn whole(&mut self) -> Result<Vec<u8>, Failure> {
        if matches!(self.packing, Packing::None) {
            return Ok(std::mem::take(&mut self.held));
        }
        let mut body = self.packing.piece(&self.held).map_err(unpackable)?;
        body.extend(self.packing.end().map_err(unpackable)?);
        Ok(body)
    }

    /// Ends the answer, one way or the other.
    pub fn end(mut self, outcome: Result<(), Failure>) {
        self.ticket.finish();
        match (outcome, self.pieces.is_some()) {
            (Ok(()), true) => {
                let last = self.packing.end().unwrap_or_default();
                if !last.is_empty() {
                    // a client that is gone needs no end
                    let _gone = self.hand(last.into());
                }
            }
            (Ok(()), false) => {
                let encoding = self.packing.content_encoding();
                match self.whole() {
                    Ok(body) => self.send(StatusCode::OK, Body::from(body), Ok(encoding)),
                    Err(failure) => {
                        let text = failure.text(&self.facts.version);
                        self.send(failure.status(), Body::from(text), Err(&failure));
                    }
                }
            }
            (Err(failure), false) => {
                let text = failure.text(&self.facts.version);
                self.send(failure.status(), Body::from(text), Err(&failure));
            }
            (Err(failure), true) => {
                self.break_off(&failure);
            }
        }
    }

    /// The trailer, apart from the data (clients look for it in what one read gives them), and then no proper end: a
    /// client that overlooks the trailer must not take the answer for whole.
    fn break_off(&mut self, failure: &Failure) {
        let Some(pieces) = self.pieces.clone() else {
            return;
        };
        let deadline = Instant::now() + SLOW_CLIENT;
        while pieces.capacity() < PIECES && Instant::now() < deadline && !pieces.is_closed() {
            std::thread::sleep(APART);
        }
        std::thread::sleep(APART);
        let trailer = failure.trailer(&self.tag, &self.facts.version);
        if self.push(&trailer).is_ok() {
            std::thread::sleep(APART);
            // a client that is gone has seen the end already
            let _gone = pieces.blocking_send(Err(io::ErrorKind::ConnectionAborted.into()));
        }
    }

    /// A success says how its body is encoded; the text of a failure never is.
    fn send(
        &mut self,
        status: StatusCode,
        body: Body,
        outcome: Result<Option<&'static str>, &Failure>,
    ) {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        };
        let code = outcome.err().map(|failure| failure.code().to_string());
        if let Ok(Some(encoding)) = outcome {
            set(header::CONTENT_ENCODING.as_str(), encoding);
        }
        let format = if outcome.is_err() {
            "TabSeparated"
        } else {
            &self.format
        };
        set(header::CONTENT_TYPE.as_str(), content_type(format));
        set("x-clickhouse-query-id", &self.ticket.id);
        set("x-clickhouse-server-display-name", &self.facts.display_name);
        set("x-clickhouse-timezone", &self.facts.timezone);
        set("x-clickhouse-summary", &summary(self.figures, self.started));
        match &code {
            Some(code) => set("x-clickhouse-exception-code", code),
            None => {
                set("x-clickhouse-format", format);
                set("x-clickhouse-exception-tag", &self.tag);
            }
        }
        if let Some(head) = self.head.take() {
            // a client that is gone needs no answer
            let _gone = head.send(response);
        }
    }
}

fn unpackable(error: io::Error) -> Failure {
    Failure::new(
        Code::Unknown,
        format!("cannot compress the answer: {error}"),
    )
}

/// Numbers as strings, as the server writes them.
fn summary(figures: Figures, started: Instant) -> String {
    let Figures {
        result_rows,
        result_bytes,
        read_rows,
        read_bytes,
        written_rows,
        written_bytes,
    } = figures;
    let elapsed = started.elapsed().as_nanos();
    format!(
        r#"{{"read_rows":"{read_rows}","read_bytes":"{read_bytes}","written_rows":"{written_rows}","written_bytes":"{written_bytes}","total_rows_to_read":"{read_rows}","result_rows":"{result_rows}","result_bytes":"{result_bytes}","elapsed_ns":"{elapsed}"}}"#
    )
}

fn content_type(format: &str) -> &'static str {
    match format {
        name if name.starts_with("JSON") && name.contains("EachRow") => {
            "application/x-ndjson; charset=UTF-8"
        }
        name if name.starts_with("JSON") => "application/json; charset=UTF-8",
        name if name.starts_with("CSV") => "text/csv; charset=UTF-8; header=absent",
        name if name.starts_with("TabSeparated") || name.starts_with("TSV") => {
            "text/tab-separated-values; charset=UTF-8"
        }
        "XML" => "application/xml; charset=UTF-8",
        "Native" | "Parquet" | "Arrow" | "ArrowStream" | "ORC" => "application/octet-stream",
        name if name.starts_with("RowBinary") => "application/octet-stream",
        _ => "text/plain; charset=UTF-8",
    }
}

/// The rest of a streamed answer. Dropped before its end, it cancels the query.
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    _cancel: Cancel,
}

impl futures_util::Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context)
    }
}
