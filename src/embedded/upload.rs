//! A request's body on its way from the network task to the query's thread: bounded pieces, read without a copy.

use std::io::{self, BufRead, BufReader, Read};

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::compression::Blocks;
use super::failure::{Code, Failure};
use super::request::Encoding;

/// Pieces waiting for the engine (a piece is at most a few hundred KB): enough to keep both sides busy.
const PIECES: usize = 8;
/// What a decoder unpacks at a time.
const UNPACKED: usize = 1 << 20;

enum Piece {
    Data(Bytes),
    /// the client sent everything; a channel that closes without it means that the client went away
    End,
}

/// Pumps `body` in its own task. When the query's thread stops reading, the rest is read and forgotten, so that the
/// client gets to read its answer.
pub fn receive(body: Body) -> Upload {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let Ok(piece) = piece else { return };
            let _forgotten = sender.send(Piece::Data(piece)).await;
        }
        let _forgotten = sender.send(Piece::End).await;
    });
    Upload {
        receiver,
        current: Bytes::new(),
        ended: false,
    }
}

pub struct Upload {
    receiver: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl BufRead for Upload {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Data(piece)) => self.current = piece,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, taken: usize) {
        let _consumed = self.current.split_to(taken);
    }
}

impl Read for Upload {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let taken = self.fill_buf()?.read(out)?;
        self.consume(taken);
        Ok(taken)
    }
}

/// The body as the query sees it.
pub enum Data {
    Nothing,
    Plain(Upload),
    Blocks(Blocks<Upload>),
    Lz4(BufReader<lz4_flex::frame::FrameDecoder<Upload>>),
    Zstd(BufReader<zstd::stream::read::Decoder<'static, Upload>>),
    Gzip(BufReader<flate2::bufread::MultiGzDecoder<Upload>>),
    Deflate(BufReader<flate2::bufread::ZlibDecoder<Upload>>),
}

impl Data {
    pub fn decode(upload: Upload, encoding: Encoding, blocks: bool) -> Result<Data, Failure> {
        Ok(match encoding {
            Encoding::Identity if blocks => Data::Blocks(Blocks::new(upload)),
            Encoding::Identity => Data::Plain(upload),
            Encoding::Lz4 => Data::Lz4(BufReader::with_capacity(
                UNPACKED,
                lz4_flex::frame::FrameDecoder::new(upload),
            )),
            Encoding::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(upload)
                    .map_err(|error| failure(&error))?;
                Data::Zstd(BufReader::with_capacity(UNPACKED, decoder))
            }
            Encoding::Gzip => Data::Gzip(BufReader::with_capacity(
                UNPACKED,
                flate2::bufread::MultiGzDecoder::new(upload),
            )),
            Encoding::Deflate => Data::Deflate(BufReader::with_capacity(
                UNPACKED,
                flate2::bufread::ZlibDecoder::new(upload),
            )),
        })
    }

    /// The next bytes, of any length; empty at the end.
    pub fn piece(&mut self) -> Result<&[u8], Failure> {
        match self {
            Data::Nothing => Ok(&[][..]),
            Data::Plain(reader) => reader.fill_buf(),
            Data::Blocks(reader) => reader.fill_buf(),
            Data::Lz4(reader) => reader.fill_buf(),
            Data::Zstd(reader) => reader.fill_buf(),
            Data::Gzip(reader) => reader.fill_buf(),
            Data::Deflate(reader) => reader.fill_buf(),
        }
        .map_err(|error| failure(&error))
    }

    pub fn consume(&mut self, taken: usize) {
        match self {
            Data::Nothing => {}
            Data::Plain(reader) => reader.consume(taken),
            Data::Blocks(reader) => reader.consume(taken),
            Data::Lz4(reader) => reader.consume(taken),
            Data::Zstd(reader) => reader.consume(taken),
            Data::Gzip(reader) => reader.consume(taken),
            Data::Deflate(reader) => reader.consume(taken),
        }
    }

    /// Moves bytes behind `text` until it has `limit` bytes or the body ends; says whether it ended.
    pub fn read_into(&mut self, text: &mut Vec<u8>, limit: usize) -> Result<bool, Failure> {
        while text.len() < limit {
            let room = limit - text.len();
            let piece = self.piece()?;
            if piece.is_empty() {
                return Ok(true);
            }
            let taken = piece.len().min(room);
            text.extend_from_slice(&piece[..taken]);
            self.consume(taken);
        }
        Ok(self.piece()?.is_empty())
    }
}

/// Readers wrap our own failures in I/O errors; what is not ours is a body that cannot be decoded.
fn failure(error: &io::Error) -> Failure {
    let ours = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Failure>());
    match (ours, error.kind()) {
        (Some(failure), _) => failure.clone(),
        (None, io::ErrorKind::ConnectionAborted) => {
            Failure::new(Code::Aborted, "the client went away")
        }
        (None, io::ErrorKind::UnexpectedEof) => {
            Failure::new(Code::CannotReadAllData, "the body ends early")
        }
        (None, _) => Failure::new(
            Code::CannotDecompress,
            format!("cannot decode the body: {error}"),
        ),
    }
}
