//! Safe handles over libchdb: an engine, a session per request, and what a session runs.
//!
//! ```text
//! Engine ──session()──▶ Session ──query()──▶ Answer
//!                               ──stream()─▶ Stream ──next()──▶ Answer …
//!                               ──insert()─▶ Insert ──append()… finish()─▶ Answer
//! ```
//! A session runs one statement at a time (`&mut self`); sessions are independent, so parallel requests run in parallel.

use std::ffi::{CString, c_char, c_int};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::answer::{Answer, text};
use super::failure::{Code, Failure};
use super::library::{Api, RawAnalysis, RawConnection, RawInsert};
use crate::error::{Error, Kind, Result};

/// Query parameters, name without `param_` and value in ClickHouse's escaped text form.
pub type Params = [(String, String)];

/// The engine over one data folder. Cheap to clone; each open session keeps it running.
#[derive(Clone)]
pub struct Engine {
    api: &'static Api,
    arguments: Vec<CString>,
    gate: Gate,
}

/// Who is inside the library: it does not outlive a session that is used, or opened, while the last other one is closed.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    sessions: usize,
    closed: bool,
}

impl Gate {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        // a number and a flag are never half-written
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session's place inside, given back when the session is closed.
struct Pass(Gate);

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside().sessions -= 1;
    }
}

/// How many statements a text holds, and whether it changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Analysis {
    pub statements: u32,
    pub writes: bool,
}

impl Engine {
    pub fn new(api: &'static Api, data: &Path) -> Result<Engine> {
        let path = format!("--path={}", data.display());
        let arguments = [String::from("clickhouse"), path]
            .into_iter()
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| {
                Error::new(Kind::Usage, "the data folder's name has a zero byte").because(source)
            })?;
        Ok(Engine {
            api,
            arguments,
            gate: Gate::default(),
        })
    }

    /// Whether one session is left, and so nothing runs; no other is opened from then on.
    pub fn close(&self) -> bool {
        let mut inside = self.gate.inside();
        inside.closed |= inside.sessions == 1;
        inside.closed
    }

    fn enter(&self) -> Result<Pass, Failure> {
        let mut inside = self.gate.inside();
        if inside.closed {
            return Err(Failure::new(Code::Aborted, "the engine is stopping"));
        }
        inside.sessions += 1;
        Ok(Pass(self.gate.clone()))
    }

    /// Opens a session (about 0.2 ms; the first one starts the engine).
    pub fn session(&self) -> Result<Session, Failure> {
        let pass = self.enter()?;
        let mut argv: Vec<*mut c_char> = self
            .arguments
            .iter()
            .map(|argument| argument.as_ptr().cast_mut())
            .collect();
        let count = c_int::try_from(argv.len()).unwrap_or(c_int::MAX);
        // SAFETY: argv holds `count` pointers to strings that live in `self`; the library copies what it keeps.
        let owner = unsafe { (self.api.connect)(count, argv.as_mut_ptr()) };
        if owner.is_null() {
            return Err(Failure::refused_session());
        }
        // SAFETY: not null, so it points to the connection it just made.
        let connection = unsafe { *owner };
        if connection.is_null() {
            return Err(Failure::refused_session());
        }
        Ok(Session {
            api: self.api,
            owner,
            connection,
            _pass: pass,
        })
    }
}

pub struct Session {
    api: &'static Api,
    owner: *mut *mut RawConnection,
    connection: *mut RawConnection,
    /// dropped after the connection is closed
    _pass: Pass,
}

// SAFETY: a connection may be used from any thread, one at a time; `&mut self` on every call keeps it to one.
unsafe impl Send for Session {}

impl Session {
    /// Runs a statement to its end and holds the whole result in memory.
    pub fn query(&mut self, sql: &[u8], format: &str, params: &Params) -> Result<Answer, Failure> {
        let bound = Bound::new(params);
        // SAFETY: `bound` and both texts outlive the call; the connection is open until `drop`.
        let raw = unsafe { bound.run(self.api.query, self.connection, sql, format) };
        Answer::checked(self.api, raw)
    }

    /// Starts a SELECT whose result is fetched block by block. Other statements are refused by the library.
    pub fn stream(
        &mut self,
        sql: &[u8],
        format: &str,
        params: &Params,
    ) -> Result<Stream<'_>, Failure> {
        let bound = Bound::new(params);
        // SAFETY: as in `query`.
        let raw = unsafe { bound.run(self.api.stream, self.connection, sql, format) };
        let state = Answer::checked(self.api, raw)?;
        Ok(Stream {
            session: self,
            state,
        })
    }

    /// Opens an INSERT (given without FORMAT and data) to which data is appended.
    pub fn insert(
        &mut self,
        sql: &[u8],
        format: &str,
        params: &Params,
    ) -> Result<Insert<'_>, Failure> {
        let bound = Bound::new(params);
        // SAFETY: as in `query`.
        let raw = unsafe { bound.run(self.api.insert, self.connection, sql, format) };
        if raw.is_null() {
            return Err(Failure::out_of_memory());
        }
        let insert = Insert { session: self, raw };
        match insert.error() {
            Some(failure) => Err(failure),
            None => Ok(insert),
        }
    }

    /// Asks the engine's own parser; a text that does not parse holds no statement.
    pub fn analyse(&mut self, sql: &[u8]) -> Analysis {
        const READ_ONLY: u32 = 0;
        const CONTROL: u32 = 3;
        let mut found = RawAnalysis {
            size: size_of::<RawAnalysis>() as u32,
            ..RawAnalysis::default()
        };
        // SAFETY: the text outlives the call, no target database is given, and `size` is this struct's own.
        unsafe {
            (self.api.classify)(
                self.connection,
                sql.as_ptr().cast(),
                sql.len(),
                std::ptr::null(),
                0,
                &raw mut found,
            );
        }
        Analysis {
            statements: found.statements,
            writes: found.class != READ_ONLY && found.class != CONTROL,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: opened by `Engine::session` and closed only here; streams and inserts borrow the session.
        unsafe { (self.api.close)(self.owner) };
    }
}

pub struct Stream<'s> {
    session: &'s mut Session,
    state: Answer,
}

impl Stream<'_> {
    /// The next piece of the result, in the format asked for; `None` at its end.
    pub fn next(&mut self) -> Result<Option<Answer>, Failure> {
        // SAFETY: both handles are open, and `&mut self` lets one thread in.
        let raw = unsafe { (self.session.api.fetch)(self.session.connection, self.state.raw) };
        let piece = Answer::checked(self.session.api, raw)?;
        Ok(if piece.data().is_empty() {
            None
        } else {
            Some(piece)
        })
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        // SAFETY: cancelling a finished stream does nothing; the handle itself is freed by `state`.
        unsafe { (self.session.api.cancel)(self.session.connection, self.state.raw) };
    }
}

/// Dropped before `finish`, it is cancelled: nothing of the current block is written.
pub struct Insert<'s> {
    session: &'s mut Session,
    raw: *mut RawInsert,
}

impl Insert<'_> {
    /// Hands over a piece of the data; waits while the engine is behind.
    pub fn append(&mut self, data: &[u8]) -> Result<(), Failure> {
        // SAFETY: the library copies `data` before it returns; the handle is open.
        let state =
            unsafe { (self.session.api.append)(self.raw, data.as_ptr().cast(), data.len()) };
        if state == 0 {
            return Ok(());
        }
        // The cause may be known only once the worker has ended, which `done` waits for.
        match self.end() {
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::unexplained()),
        }
    }

    pub fn finish(mut self) -> Result<Answer, Failure> {
        self.end()
    }

    fn end(&mut self) -> Result<Answer, Failure> {
        // SAFETY: the handle is open; `done` joins the worker, and a second call only reports.
        let raw = unsafe { (self.session.api.done)(self.raw) };
        Answer::checked(self.session.api, raw)
    }

    fn error(&self) -> Option<Failure> {
        // SAFETY: the handle is open, the text belongs to it and is copied here.
        unsafe { text((self.session.api.insert_error)(self.raw)) }
            .map(|text| Failure::of_engine(&text))
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `insert`, freed only here; the library cancels what was not finished.
        unsafe { (self.session.api.destroy_insert)(self.raw) };
    }
}

/// Parameters as four parallel arrays that point into `Params`.
struct Bound {
    names: Vec<*const c_char>,
    name_lengths: Vec<usize>,
    values: Vec<*const c_char>,
    value_lengths: Vec<usize>,
}

impl Bound {
    fn new(params: &Params) -> Bound {
        Bound {
            names: params
                .iter()
                .map(|(name, _)| name.as_ptr().cast())
                .collect(),
            name_lengths: params.iter().map(|(name, _)| name.len()).collect(),
            values: params
                .iter()
                .map(|(_, value)| value.as_ptr().cast())
                .collect(),
            value_lengths: params.iter().map(|(_, value)| value.len()).collect(),
        }
    }

    /// # Safety
    /// `connection` is open and used by this call alone; the `Params` behind the arrays are alive.
    unsafe fn run<T>(
        &self,
        function: super::library::Run<T>,
        connection: *mut RawConnection,
        sql: &[u8],
        format: &str,
    ) -> *mut T {
        // SAFETY: every pointer comes with its own length, and the arrays have `names.len()` entries each.
        unsafe {
            function(
                connection,
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                self.names.as_ptr(),
                self.name_lengths.as_ptr(),
                self.values.as_ptr(),
                self.value_lengths.as_ptr(),
                self.names.len(),
            )
        }
    }
}
