//! A Kafka message, as far as a row depends on it.

#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// milliseconds since 1970, as the producer or the broker set them; only for jobs that need it
    pub timestamp: Option<i64>,
    pub headers: Headers<'a>,
}

/// The value of a header, by its name; looked up only where a row depends on one, since listing them costs as much as
/// decoding.
#[derive(Clone, Copy, Default)]
pub struct Headers<'a>(Option<&'a Find<'a>>);

type Find<'a> = dyn Fn(&str) -> Option<Vec<u8>> + 'a;

impl<'a> Headers<'a> {
    pub const NONE: Headers<'static> = Headers(None);

    pub fn of(find: &'a Find<'a>) -> Headers<'a> {
        Headers(Some(find))
    }

    pub(super) fn find(&self, name: &str) -> Option<Vec<u8>> {
        self.0.and_then(|find| find(name))
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Headers")
    }
}
