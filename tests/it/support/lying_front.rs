//! An HTTP front before the real engine that tells lies about what became of a request: it may do the work and lose the
//! answer, refuse what was done, or answer when nobody waits any more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Engine, listen, network};

/// Which requests a lie is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// inserts into a table whose name holds this
    Insert(&'static str),
    /// other statements that hold this: a word of their own, or a table
    Query(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// does the work, and resets the connection instead of answering
    LoseAnswer,
    /// does the work at once, and answers so much later
    AnswerLate(Duration),
    /// does the work so much later, whether somebody still waits or not
    WorkLate(Duration),
    /// hands half of the body to the engine and resets both connections
    HalfBody,
    /// neither works nor answers
    Hang,
    /// answers ClickHouse's error of this code
    Refuse { code: u32, done: bool },
    /// status 200 and the header of an exception of this code, as when headers were sent before the failure
    RefuseWith200 { code: u32, done: bool },
    /// does the work and answers 200, but less body than was promised
    HalfAnswer,
}

pub struct LyingFront {
    /// the engine by way of this front
    pub engine: Engine,
    told: Arc<Mutex<Told>>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Told {
    rules: VecDeque<Rule>,
    lies: Vec<Lie>,
    truths: usize,
    late: usize,
}

struct Rule {
    about: About,
    skip: usize,
    times: usize,
    lie: Lie,
}

impl LyingFront {
    pub fn before(engine: &Engine) -> LyingFront {
        let listener = listen("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = engine.url.trim_start_matches("http://").to_owned();
        let told = Arc::new(Mutex::new(Told::default()));
        let shared = Arc::clone(&told);
        let accepting = network().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, server.clone(), Arc::clone(&shared)));
            }
        });
        LyingFront {
            engine: Engine {
                url,
                ..engine.clone()
            },
            told,
            accepting,
        }
    }

    /// Lies about the next `times` of these requests.
    pub fn lie(&self, about: About, times: usize, lie: Lie) {
        self.lie_later(about, 0, times, lie);
    }

    /// Lies about so many of these requests after `skip` that are told the truth about.
    pub fn lie_later(&self, about: About, skip: usize, times: usize, lie: Lie) {
        let mut told = self.told.lock().unwrap();
        told.rules.push_back(Rule {
            about,
            skip,
            times,
            lie,
        });
    }

    /// From now on it tells the truth.
    pub fn repent(&self) {
        self.told.lock().unwrap().rules.clear();
    }

    /// The lies that were told so far.
    pub fn lies(&self) -> Vec<Lie> {
        self.told.lock().unwrap().lies.clone()
    }
}

impl LyingFront {
    /// Inserts that were carried out and answered as they should.
    pub fn true_inserts(&self) -> usize {
        self.told.lock().unwrap().truths
    }

    /// How often [`Lie::WorkLate`] was carried out.
    pub fn carried_out_late(&self) -> usize {
        self.told.lock().unwrap().late
    }
}

impl Drop for LyingFront {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Told {
    /// What is to be said about this request: the first rule that is about it.
    fn about(&mut self, request: &Request) -> Option<Lie> {
        let about = |rule: &&mut Rule| rule.times > 0 && rule.about.is_about(request);
        let Some(rule) = self.rules.iter_mut().find(about) else {
            self.truths += usize::from(About::Insert("").is_about(request));
            return None;
        };
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        self.lies.push(rule.lie);
        Some(rule.lie)
    }
}

impl About {
    fn is_about(&self, request: &Request) -> bool {
        let statement = request.statement();
        let is_insert = statement
            .get(..6)
            .is_some_and(|word| word.eq_ignore_ascii_case("INSERT"));
        match self {
            About::Insert(table) => is_insert && statement.contains(table),
            About::Query(text) => !is_insert && statement.contains(text),
        }
    }
}

/// One request, its body whole.
struct Request {
    /// method and target of the first line
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// The statement, from the address or from the body.
    fn statement(&self) -> String {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        match pairs.find(|(name, _)| name == "query") {
            Some((_, statement)) => statement.trim_start().to_owned(),
            None => String::from_utf8_lossy(&self.body).trim_start().to_owned(),
        }
    }

    /// `None` where the client has closed the connection.
    async fn read(client: &mut TcpStream) -> Option<Request> {
        let mut buffer = Vec::new();
        let head = loop {
            if let Some(end) = find(&buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if client.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
        };
        let text = String::from_utf8(buffer[..head].to_vec()).ok()?;
        let mut lines = text.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let of = |name: &str| headers.iter().find(|(header, _)| header == name);
        let mut body = buffer.split_off(head);
        if of("expect").is_some() {
            client
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .ok()?;
        }
        if of("transfer-encoding").is_some() {
            while !body.ends_with(b"0\r\n\r\n") || unchunked(&body).is_none() {
                if client.read_buf(&mut body).await.ok()? == 0 {
                    return None;
                }
            }
            body = unchunked(&body)?;
        } else {
            let length = of("content-length").and_then(|(_, value)| value.parse().ok());
            while body.len() < length.unwrap_or(0) {
                if client.read_buf(&mut body).await.ok()? == 0 {
                    return None;
                }
            }
        }
        Some(Request {
            method,
            target,
            headers,
            body,
        })
    }

    /// As it goes on to the engine, on a connection of its own.
    fn head(&self, server: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            let hop = [
                "host",
                "connection",
                "transfer-encoding",
                "content-length",
                "expect",
            ];
            if !hop.contains(&name.as_str()) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let length = self.body.len();
        head.push_str(&format!(
            "host: {server}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        ));
        head.into_bytes()
    }
}

/// One connection: one request and what is said about it. No answer keeps the connection, so that a client's next request
/// meets a new one.
async fn serve(mut client: TcpStream, server: String, told: Arc<Mutex<Told>>) {
    let Some(request) = Request::read(&mut client).await else {
        return;
    };
    let lie = told.lock().unwrap().about(&request);
    let whole = request.body.len();
    match lie {
        None => say(&mut client, &work(&request, &server, whole).await).await,
        Some(Lie::LoseAnswer) => {
            work(&request, &server, whole).await;
            let _ = client.set_zero_linger();
        }
        Some(Lie::AnswerLate(late)) => {
            let answer = work(&request, &server, whole).await;
            tokio::time::sleep(late).await;
            say(&mut client, &answer).await;
        }
        Some(Lie::WorkLate(late)) => {
            tokio::time::sleep(late).await;
            let answer = work(&request, &server, whole).await;
            told.lock().unwrap().late += 1;
            say(&mut client, &answer).await;
        }
        Some(Lie::HalfBody) => {
            work(&request, &server, whole / 2).await;
            let _ = client.set_zero_linger();
        }
        Some(Lie::Hang) => {
            // until the client gives up
            let _ = client.read(&mut [0]).await;
        }
        Some(Lie::Refuse { code, done }) => {
            if done {
                work(&request, &server, whole).await;
            }
            say(&mut client, &refusal(status_of(code), code)).await;
        }
        Some(Lie::RefuseWith200 { code, done }) => {
            if done {
                work(&request, &server, whole).await;
            }
            say(&mut client, &refusal("200 OK", code)).await;
        }
        Some(Lie::HalfAnswer) => {
            work(&request, &server, whole).await;
            let half = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 64\r\n\r\nhalf";
            say(&mut client, half).await;
        }
    }
}

async fn say(client: &mut TcpStream, answer: &[u8]) {
    // the client may have given up
    let _ = (client.write_all(answer).await, client.shutdown().await);
}

/// Sends the request with so much of its body; gives the engine's answer as it came, nothing where the body was cut.
async fn work(request: &Request, server: &str, send: usize) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut engine) = TcpStream::connect(server).await else {
        return answer;
    };
    let _ = engine.write_all(&request.head(server)).await;
    let _ = engine.write_all(&request.body[..send]).await;
    if send == request.body.len() {
        let _ = engine.read_to_end(&mut answer).await;
    }
    answer
}

/// An error as ClickHouse says it.
fn refusal(status: &str, code: u32) -> Vec<u8> {
    let name = match code {
        209 => "SOCKET_TIMEOUT",
        241 => "MEMORY_LIMIT_EXCEEDED",
        242 => "TABLE_IS_READ_ONLY",
        243 => "NOT_ENOUGH_SPACE",
        252 => "TOO_MANY_PARTS",
        319 => "UNKNOWN_STATUS_OF_INSERT",
        516 => "AUTHENTICATION_FAILED",
        999 => "KEEPER_EXCEPTION",
        other => panic!("no text for code {other}"),
    };
    let text = format!(
        "Code: {code}. DB::Exception: said by the test's front. ({name}) (version 26.7.3.1 (official build))\n"
    );
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=UTF-8\r\nx-clickhouse-exception-code: {code}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}

fn status_of(code: u32) -> &'static str {
    match code {
        209 => "503 Service Unavailable",
        516 => "403 Forbidden",
        _ => "500 Internal Server Error",
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The body without the lengths of its chunks; `None` while the last one is missing.
fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = find(bytes, b"\r\n")?;
        let length = std::str::from_utf8(&bytes[..line]).ok()?;
        let length = usize::from_str_radix(length, 16).ok()?;
        let from = line + 2;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(from..from + length)?);
        bytes = bytes.get(from + length + 2..)?;
    }
}
