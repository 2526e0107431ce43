//! One query from its text to its answer, on a thread that may block.

use super::failure::{Code, Failure};
use super::handle::{Engine, Session};
use super::reply::Reply;
use super::request::Request;
use super::select;
use super::statement::{self, Inline, Statement};
use super::upload::{Data, Upload};

/// The statement in front of an INSERT's data must end within this many bytes (the server's `max_query_size`).
const HEAD: usize = 256 << 10;
/// Longest text of any other statement: generous, as lists of keys are pasted into queries.
const TEXT: usize = 64 << 20;

pub fn run(engine: &Engine, request: &Request, upload: Option<Upload>, mut reply: Reply) {
    // decoders may read already when they are made, so they are made here, where reading may block
    let outcome = upload
        .map_or(Ok(Data::Nothing), |upload| {
            Data::decode(upload, request.encoding, request.decompress)
        })
        .and_then(|data| answer(engine, request, data, &mut reply));
    reply.end(outcome);
}

fn answer(
    engine: &Engine,
    request: &Request,
    mut data: Data,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let mut session = engine.session()?;
    session.query(request.set_statement()?.as_bytes(), "Null", &[])?;
    if let Some(database) = &request.database {
        let name = database.replace('\\', "\\\\").replace('`', "\\`");
        session.query(format!("USE `{name}`").as_bytes(), "Null", &[])?;
    }
    let mut text = request.query.clone().into_bytes();
    if !text.is_empty() && !data.piece()?.is_empty() {
        text.push(b'\n');
    }
    let mut ended = data.read_into(&mut text, HEAD)?;
    let kind = Statement::of(&text);
    if let Statement::Insert(inline) = &kind {
        refuse_write(request)?;
        if ended && inline.format == "Values" && statement::goes_on(&text[inline.data..]) {
            return Err(several_statements());
        }
        return insert(&mut session, (request, &text, inline), &mut data, reply);
    }
    if !ended {
        ended = data.read_into(&mut text, TEXT)?;
    }
    if !ended {
        return Err(Failure::new(
            Code::SyntaxError,
            "Max query size exceeded: the text is longer than 64 MiB",
        ));
    }
    if kind == Statement::Kill {
        text = statement::rewrite_kill(&text);
    }
    let analysis = session.analyse(&text);
    if analysis.statements != 1 {
        return Err(not_one_statement(&mut session, &text));
    }
    if analysis.writes || kind == Statement::Kill {
        refuse_write(request)?;
    }
    let format = statement::output_format(&text)
        .or_else(|| request.default_format.clone())
        .unwrap_or_else(|| String::from("TabSeparated"));
    reply.set_format(&format);
    if kind == Statement::Select && select::streams(&format, &text, request) {
        return select::stream(&mut session, request, (&text, &format), reply);
    }
    let answer = session.query(&text, &format, &request.params)?;
    reply.count(answer.figures());
    reply.write(answer.data())
}

/// Streams the data behind the statement; nothing but one piece of it is held here.
fn insert(
    session: &mut Session,
    (request, text, inline): (&Request, &[u8], &Inline),
    data: &mut Data,
    reply: &mut Reply,
) -> Result<(), Failure> {
    let head = &text[..inline.head];
    let mut insert = session.insert(head, &inline.format, &request.params)?;
    if inline.data < text.len() {
        insert.append(&text[inline.data..])?;
    }
    loop {
        let piece = data.piece()?;
        if piece.is_empty() {
            break;
        }
        insert.append(piece)?;
        let taken = piece.len();
        data.consume(taken);
    }
    let mut figures = insert.finish()?.figures();
    // the library does not count what it parsed; written rows include those of materialized views
    (figures.read_rows, figures.read_bytes) = (figures.written_rows, figures.written_bytes);
    (figures.result_rows, figures.result_bytes) = (figures.written_rows, figures.written_bytes);
    reply.count(figures);
    Ok(())
}

/// GET promises to change nothing; the server says so with the same words.
fn refuse_write(request: &Request) -> Result<(), Failure> {
    if !request.read_only {
        return Ok(());
    }
    Err(Failure::new(
        Code::Readonly,
        "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. \
         You should use method POST for modifying queries",
    ))
}

/// None or several: the library would run all that it can parse, so nothing is run. Its INSERT entry parses a text as
/// exactly one statement and refuses what is no INSERT, which gives us the server's own message.
fn not_one_statement(session: &mut Session, text: &[u8]) -> Failure {
    match session.insert(text, "", &[]) {
        Err(failure) if failure.code() != Code::Unknown as u32 => failure,
        _ => several_statements(),
    }
}

fn several_statements() -> Failure {
    Failure::new(
        Code::SyntaxError,
        "Syntax error (Multi-statements are not allowed)",
    )
}
