//! The same where nothing of MySQL was built in.

use std::convert::Infallible;
use std::marker::PhantomData;

use crate::catalog::MysqlSource;
use crate::column::Key;
use crate::error::Result;
use crate::feature::{Feature, left_out};
use crate::snapshot::Reading;
use crate::snapshot::making::{Chunk, Making};

/// There is none.
pub struct Transaction<'a> {
    none: Infallible,
    pub(in crate::snapshot) position: Option<String>,
    pub(in crate::snapshot) time: i64,
    reading: PhantomData<&'a Reading>,
}

#[expect(clippy::unused_async, reason = "as those that ask the database")]
impl<'a> Transaction<'a> {
    pub(in crate::snapshot) async fn begin(
        _: &'a MysqlSource,
        _: &'a Reading,
    ) -> Result<Transaction<'a>> {
        Err(left_out(Feature::Mysql))
    }

    pub(in crate::snapshot) async fn stream(
        &self,
        _: Option<u8>,
        _: Making<'a>,
    ) -> Result<Streamed<'a>> {
        match self.none {}
    }

    pub(in crate::snapshot) async fn look_up(&self, _: &[Key], _: Making<'_>) -> Result<Chunk> {
        match self.none {}
    }

    pub(in crate::snapshot) async fn end(self) -> Result<()> {
        match self.none {}
    }
}

/// There are none.
pub struct Streamed<'a>(Infallible, PhantomData<&'a Reading>);

impl Streamed<'_> {
    #[expect(clippy::unused_async, reason = "as the one that reads")]
    pub(in crate::snapshot) async fn next(&mut self) -> Result<Chunk> {
        match self.0 {}
    }
}
