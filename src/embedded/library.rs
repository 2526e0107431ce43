//! Finds libchdb and declares the few C functions we call; the package ships no header.

use std::ffi::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// The one version this code was written against: older ones hang on `DROP … SYNC` and lose a partition on an empty REPLACE.
pub const PACKAGE: &str = "@chdb/lib-linux-x64-gnu@26.7.3-stable.1";
const FILE: &str = "libchdb.so";

/// A connection, a result and an insert stream as C sees them: never looked into.
#[repr(C)]
pub struct RawConnection([u8; 0]);
#[repr(C)]
pub struct RawResult([u8; 0]);
#[repr(C)]
pub struct RawInsert([u8; 0]);

/// What `chdb_classify_query_n` reports; `size` tells the library how much of it we know.
#[repr(C)]
#[derive(Default)]
pub struct RawAnalysis {
    pub size: u32,
    pub statements: u32,
    pub flags: u32,
    pub class: u32,
}

pub type Text = *const c_char;
pub type Texts = *const *const c_char;
pub type Lengths = *const usize;
/// connection, text + length, format + length, parameter names + lengths, values + lengths, count
pub type Run<T> = unsafe extern "C" fn(
    *mut RawConnection,
    Text,
    usize,
    Text,
    usize,
    Texts,
    Lengths,
    Texts,
    Lengths,
    usize,
) -> *mut T;
type Figure = unsafe extern "C" fn(*mut RawResult) -> u64;

/// The functions, resolved once and kept for the life of the process (the library cannot be unloaded).
pub struct Api {
    pub connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut *mut RawConnection,
    pub close: unsafe extern "C" fn(*mut *mut RawConnection),
    pub query: Run<RawResult>,
    pub stream: Run<RawResult>,
    pub fetch: unsafe extern "C" fn(*mut RawConnection, *mut RawResult) -> *mut RawResult,
    pub cancel: unsafe extern "C" fn(*mut RawConnection, *mut RawResult),
    pub destroy: unsafe extern "C" fn(*mut RawResult),
    pub insert: Run<RawInsert>,
    pub append: unsafe extern "C" fn(*mut RawInsert, *const c_void, usize) -> c_int,
    pub done: unsafe extern "C" fn(*mut RawInsert) -> *mut RawResult,
    pub insert_error: unsafe extern "C" fn(*mut RawInsert) -> Text,
    pub destroy_insert: unsafe extern "C" fn(*mut RawInsert),
    pub classify: unsafe extern "C" fn(
        *mut RawConnection,
        Text,
        usize,
        Text,
        usize,
        *mut RawAnalysis,
    ) -> c_int,
    pub buffer: unsafe extern "C" fn(*mut RawResult) -> Text,
    pub length: unsafe extern "C" fn(*mut RawResult) -> usize,
    pub error: unsafe extern "C" fn(*mut RawResult) -> Text,
    pub result_rows: Figure,
    pub result_bytes: Figure,
    pub read_rows: Figure,
    pub read_bytes: Figure,
    pub written_rows: Figure,
    pub written_bytes: Figure,
}

impl Api {
    /// Loads the library and leaks it: its threads outlive every handle.
    pub fn load(path: &Path) -> Result<&'static Api> {
        let unusable = |source: libloading::Error| {
            Error::new(
                Kind::Config,
                format!("cannot use {} as libchdb", path.display()),
            )
            .because(source)
            .advise(how_to_install())
        };
        // SAFETY: loading runs the library's initialisers; it is the published engine, chosen by the operator, and
        // nothing of it is in use yet.
        let library = unsafe { libloading::Library::new(path) }.map_err(unusable)?;
        let library = Box::leak(Box::new(library));
        fn symbol<T: Copy>(
            library: &'static libloading::Library,
            name: &str,
        ) -> Result<T, libloading::Error> {
            // SAFETY: every caller names the type that the library's own declaration gives this symbol.
            unsafe { library.get::<T>(name) }.map(|found| *found)
        }
        let disable_signals =
            symbol::<unsafe extern "C" fn(c_int)>(library, "chdb_set_signal_handlers_enabled")
                .map_err(unusable)?;
        // SAFETY: takes a flag, touches nothing else; it must come before the first connection, and does.
        unsafe { disable_signals(0) };
        let resolve = || -> Result<Api, libloading::Error> {
            Ok(Api {
                connect: symbol(library, "chdb_connect")?,
                close: symbol(library, "chdb_close_conn")?,
                query: symbol(library, "chdb_query_with_params_n")?,
                stream: symbol(library, "chdb_stream_query_with_params_n")?,
                fetch: symbol(library, "chdb_stream_fetch_result")?,
                cancel: symbol(library, "chdb_stream_cancel_query")?,
                destroy: symbol(library, "chdb_destroy_query_result")?,
                insert: symbol(library, "chdb_stream_insert_with_params_n")?,
                append: symbol(library, "chdb_stream_append")?,
                done: symbol(library, "chdb_stream_done")?,
                insert_error: symbol(library, "chdb_stream_insert_error")?,
                destroy_insert: symbol(library, "chdb_destroy_insert_stream")?,
                classify: symbol(library, "chdb_classify_query_n")?,
                buffer: symbol(library, "chdb_result_buffer")?,
                length: symbol(library, "chdb_result_length")?,
                error: symbol(library, "chdb_result_error")?,
                result_rows: symbol(library, "chdb_result_rows_read")?,
                result_bytes: symbol(library, "chdb_result_bytes_read")?,
                read_rows: symbol(library, "chdb_result_storage_rows_read")?,
                read_bytes: symbol(library, "chdb_result_storage_bytes_read")?,
                written_rows: symbol(library, "chdb_result_rows_written")?,
                written_bytes: symbol(library, "chdb_result_bytes_written")?,
            })
        };
        Ok(Box::leak(Box::new(resolve().map_err(unusable)?)))
    }
}

/// `--library`, then `BULLION_LIBCHDB`, the cache folder, the binary's own folder.
pub fn find(given: Option<&Path>) -> Result<PathBuf> {
    let named = given
        .map(Path::to_path_buf)
        .or_else(|| std::env::var_os("BULLION_LIBCHDB").map(PathBuf::from));
    if let Some(path) = named {
        return if path.is_file() {
            Ok(path)
        } else {
            Err(missing(&format!("no libchdb at {}", path.display())))
        };
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join(FILE)));
    [Some(cache_folder().join(FILE)), beside]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
        .ok_or_else(|| missing("the embedded engine needs libchdb, and it is not here"))
}

/// Where `make` and the advice below put the library.
pub fn cache_folder() -> PathBuf {
    let cache = std::env::var_os("BULLION_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
            home.join(".cache/bullion")
        });
    cache.join("libchdb")
}

fn missing(message: &str) -> Error {
    Error::new(Kind::Config, message).advise(how_to_install())
}

/// The exact commands, so that a person can paste them.
fn how_to_install() -> String {
    let folder = cache_folder();
    let folder = folder.display();
    format!(
        "mkdir -p '{folder}' && cd '{folder}' && npm pack {PACKAGE} && tar xzf chdb-lib-*.tgz --strip-components=1 && rm chdb-lib-*.tgz"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_answered_with_the_command_that_installs_it() {
        let error = find(Some(Path::new("/nowhere/libchdb.so"))).unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        assert!(
            error
                .advice()
                .contains("npm pack @chdb/lib-linux-x64-gnu@26.7.3-stable.1")
        );
    }
}
