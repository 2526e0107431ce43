//! One HTTP request, parsed into what a query needs: text, parameters, settings, session facts.

use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine as _;

use super::failure::{Code, Failure};

/// Names of the URL that belong to the HTTP interface and are not settings of the query.
const NOT_SETTINGS: [&str; 10] = [
    "session_id",
    "session_timeout",
    "session_check",
    "close_session",
    "quota_key",
    "stacktrace",
    "buffer_size",
    "role",
    "client_protocol_version",
    "http_method",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Lz4,
    Zstd,
    Gzip,
    Deflate,
}

#[derive(Debug)]
pub struct Request {
    pub query_id: String,
    /// from the URL (or a form); a raw body continues it
    pub query: String,
    pub database: Option<String>,
    pub default_format: Option<String>,
    /// in the order given; the last of a name wins
    pub settings: Vec<(String, String)>,
    /// without `param_`
    pub params: Vec<(String, String)>,
    pub encoding: Encoding,
    /// the body is in ClickHouse's compressed blocks
    pub decompress: bool,
    /// the answer shall be
    pub compress: bool,
    /// what the client can decode, the server's favourite of it; used where `enable_http_compression` is set
    pub accepted: Encoding,
    pub http_compression: bool,
    pub wait_end: bool,
    /// GET promises to change nothing
    pub read_only: bool,
    pub user: String,
    pub password: String,
}

impl Encoding {
    /// As in `Content-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Lz4 => "lz4",
            Encoding::Zstd => "zstd",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
        }
    }
}

impl Request {
    pub fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Request, Failure> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let mut request = Request {
            query_id: String::new(),
            query: String::new(),
            database: text("x-clickhouse-database").map(str::to_owned),
            default_format: text("x-clickhouse-format").map(str::to_owned),
            settings: Vec::new(),
            params: Vec::new(),
            encoding: encoding(text("content-encoding"))?,
            decompress: false,
            compress: false,
            accepted: accepted(text("accept-encoding")),
            http_compression: false,
            wait_end: false,
            read_only: method == Method::GET,
            user: String::new(),
            password: String::new(),
        };
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            request.take(&name, value.into_owned());
        }
        if let Some((user, password)) = basic(headers) {
            (request.user, request.password) = (user, password);
        }
        if let Some(user) = text("x-clickhouse-user") {
            user.clone_into(&mut request.user);
        }
        if let Some(password) = text("x-clickhouse-key") {
            password.clone_into(&mut request.password);
        }
        if request.user.is_empty() {
            request.user = String::from("default");
        }
        if request.query_id.is_empty() {
            request.query_id = uuid::Uuid::new_v4().to_string();
        }
        Ok(request)
    }

    /// One `name=value`, from the URL or from a part of a form.
    pub fn take(&mut self, name: &str, value: String) {
        match name {
            "query" => self.query.push_str(&value),
            "query_id" => self.query_id = value,
            "database" => self.database = Some(value),
            "default_format" => self.default_format = Some(value),
            "user" => self.user = value,
            "password" => self.password = value,
            "compress" => self.compress = is_on(&value),
            "decompress" => self.decompress = is_on(&value),
            "wait_end_of_query" => self.wait_end = is_on(&value),
            _ if NOT_SETTINGS.contains(&name) => {}
            "enable_http_compression" => self.http_compression = is_on(&value),
            _ => match name.strip_prefix("param_") {
                Some(param) => self.params.push((param.to_owned(), value)),
                None => self.settings.push((name.to_owned(), value)),
            },
        }
    }

    /// `SET …` for this request's session. Our query id rides in `log_comment`, as libchdb gives ids of its own.
    pub fn set_statement(&self) -> Result<String, Failure> {
        let mut sql = String::from("SET implicit_select = 0");
        for (name, value) in &self.settings {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
            if name.is_empty() || !name.bytes().all(plain) {
                return Err(Failure::new(
                    Code::UnknownSetting,
                    format!("Unknown setting {}", quoted(name)),
                ));
            }
            sql.push_str(&format!(", {name} = {}", quoted(value)));
        }
        sql.push_str(&format!(", log_comment = {}", quoted(&self.query_id)));
        Ok(sql)
    }
}

/// A string literal.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => out.extend(['\\', character]),
            '\0' => out.push_str("\\0"),
            _ => out.push(character),
        }
    }
    out.push('\'');
    out
}

fn is_on(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

fn encoding(header: Option<&str>) -> Result<Encoding, Failure> {
    match header.unwrap_or_default().trim() {
        "" | "identity" => Ok(Encoding::Identity),
        "lz4" => Ok(Encoding::Lz4),
        "zstd" => Ok(Encoding::Zstd),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "deflate" => Ok(Encoding::Deflate),
        other => Err(Failure::new(
            Code::UnknownCompression,
            format!("Unknown Content-Encoding {other}"),
        )),
    }
}

/// In the server's order of preference; what it knows beside these (br, snappy, xz) is not offered here.
fn accepted(header: Option<&str>) -> Encoding {
    let header = header.unwrap_or_default();
    let known = [
        ("zstd", Encoding::Zstd),
        ("lz4", Encoding::Lz4),
        ("gzip", Encoding::Gzip),
        ("deflate", Encoding::Deflate),
    ];
    let has = |word: &str| {
        let mut words = header.split(',').map(|part| part.split(';').next());
        words.any(|found| found.is_some_and(|found| found.trim() == word))
    };
    let found = known.into_iter().find(|(word, _)| has(word));
    found.map_or(Encoding::Identity, |(_, encoding)| encoding)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, code) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::prelude::BASE64_STANDARD.decode(code.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str, headers: &[(&'static str, &str)]) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Request::parse(&Method::POST, &uri.parse().unwrap(), &map).unwrap()
    }

    #[test]
    fn a_url_is_parted_into_query_parameters_and_settings() {
        let request = parse(
            "/?query=SELECT+%7Ba:String%7D&param_a=it%27s&max_threads=1&session_id=s&query_id=q1&database=x",
            &[],
        );
        assert_eq!(request.query, "SELECT {a:String}");
        assert_eq!(request.params, [("a".to_owned(), "it's".to_owned())]);
        assert_eq!(
            request.set_statement().unwrap(),
            "SET implicit_select = 0, max_threads = '1', log_comment = 'q1'"
        );
        assert_eq!(request.database.as_deref(), Some("x"));
    }

    #[test]
    fn a_settings_name_that_is_sql_is_refused() {
        let request = parse("/?a%3D1,b=2", &[]);
        assert_eq!(request.set_statement().unwrap_err().code(), 115);
    }

    #[test]
    fn headers_win_over_basic_and_url() {
        for (uri, headers, user, password) in [
            ("/?user=u&password=p", vec![], "u", "p"),
            ("/", vec![("authorization", "Basic YTpiOmM=")], "a", "b:c"),
            (
                "/?user=u",
                vec![("x-clickhouse-user", "h"), ("x-clickhouse-key", "k")],
                "h",
                "k",
            ),
            ("/", vec![], "default", ""),
        ] {
            let request = parse(uri, &headers);
            assert_eq!(
                (request.user.as_str(), request.password.as_str()),
                (user, password),
                "{uri} {headers:?}"
            );
        }
    }
}
