//! What the engine answers: a result's bytes, its figures, or its error.

use std::ffi::{CStr, c_char};

use super::failure::Failure;
use super::library::{Api, RawResult};

/// What the summary header reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub result_rows: u64,
    pub result_bytes: u64,
    pub read_rows: u64,
    pub read_bytes: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, more: Figures) {
        self.result_rows += more.result_rows;
        self.result_bytes += more.result_bytes;
        self.read_rows += more.read_rows;
        self.read_bytes += more.read_bytes;
        self.written_rows += more.written_rows;
        self.written_bytes += more.written_bytes;
    }
}

/// A result, or a piece of one, in the library's own memory.
pub struct Answer {
    api: &'static Api,
    pub raw: *mut RawResult,
}

impl Answer {
    pub fn checked(api: &'static Api, raw: *mut RawResult) -> Result<Answer, Failure> {
        if raw.is_null() {
            return Err(Failure::out_of_memory());
        }
        let answer = Answer { api, raw };
        // SAFETY: the result is alive, the text belongs to it and is copied here.
        match unsafe { text((api.error)(raw)) } {
            Some(text) => Err(Failure::of_engine(&text)),
            None => Ok(answer),
        }
    }

    pub fn data(&self) -> &[u8] {
        // SAFETY: buffer and length belong to this result, which the borrow keeps alive.
        unsafe {
            let (start, length) = ((self.api.buffer)(self.raw), (self.api.length)(self.raw));
            if start.is_null() || length == 0 {
                return &[];
            }
            std::slice::from_raw_parts(start.cast(), length)
        }
    }

    pub fn figures(&self) -> Figures {
        let api = self.api;
        // SAFETY: plain getters on a live result.
        unsafe {
            Figures {
                result_rows: (api.result_rows)(self.raw),
                result_bytes: (api.result_bytes)(self.raw),
                read_rows: (api.read_rows)(self.raw),
                read_bytes: (api.read_bytes)(self.raw),
                written_rows: (api.written_rows)(self.raw),
                written_bytes: (api.written_bytes)(self.raw),
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: freed only here.
        unsafe { (self.api.destroy)(self.raw) };
    }
}

/// # Safety
/// `start` is null or a zero-terminated text that lives through the call.
pub unsafe fn text(start: *const c_char) -> Option<String> {
    if start.is_null() {
        return None;
    }
    // SAFETY: by the contract above.
    let text = unsafe { CStr::from_ptr(start) }.to_string_lossy();
    (!text.is_empty()).then(|| text.into_owned())
}
