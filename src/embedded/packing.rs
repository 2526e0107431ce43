//! How an answer is compressed: in ClickHouse's own blocks (`compress=1`), or by HTTP's `Content-Encoding`
//! (`enable_http_compression=1`).

use std::io::{self, Write};

use super::compression;
use super::request::{Encoding, Request};

/// HTTP's answers are small or on their way already: speed counts, as for the server's own default of 3.
const LEVEL: u32 = 3;

pub enum Packing {
    None,
    Blocks,
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
}

impl Packing {
    /// Both at once is ClickHouse's blocks, as on the server.
    pub fn of(request: &Request) -> Packing {
        if request.compress {
            return Packing::Blocks;
        }
        if !request.http_compression {
            return Packing::None;
        }
        let level = flate2::Compression::new(LEVEL);
        match request.accepted {
            Encoding::Identity => Packing::None,
            Encoding::Lz4 => Packing::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(Vec::new()))),
            Encoding::Zstd => {
                let level = i32::try_from(LEVEL).unwrap_or_default();
                zstd::stream::write::Encoder::new(Vec::new(), level)
                    .map_or(Packing::None, Packing::Zstd)
            }
            Encoding::Gzip => Packing::Gzip(flate2::write::GzEncoder::new(Vec::new(), level)),
            Encoding::Deflate => {
                Packing::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), level))
            }
        }
    }

    /// What the answer's header says.
    pub fn content_encoding(&self) -> Option<&'static str> {
        let encoding = match self {
            Packing::None | Packing::Blocks => return None,
            Packing::Lz4(_) => Encoding::Lz4,
            Packing::Zstd(_) => Encoding::Zstd,
            Packing::Gzip(_) => Encoding::Gzip,
            Packing::Deflate(_) => Encoding::Deflate,
        };
        Some(encoding.as_str())
    }

    /// The next piece, so that a client can decode it when it has it.
    pub fn piece(&mut self, data: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Packing::None => Ok(data.to_vec()),
            Packing::Blocks => {
                let mut packed = Vec::new();
                compression::compress(data, &mut packed);
                Ok(packed)
            }
            Packing::Lz4(encoder) => {
                put(encoder.as_mut(), data)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packing::Zstd(encoder) => {
                put(encoder, data)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packing::Gzip(encoder) => {
                put(encoder, data)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Packing::Deflate(encoder) => {
                put(encoder, data)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    /// What ends the answer.
    pub fn end(&mut self) -> io::Result<Vec<u8>> {
        match std::mem::replace(self, Packing::None) {
            Packing::None | Packing::Blocks => Ok(Vec::new()),
            Packing::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Packing::Zstd(encoder) => encoder.finish(),
            Packing::Gzip(encoder) => encoder.finish(),
            Packing::Deflate(encoder) => encoder.finish(),
        }
    }
}

fn put(encoder: &mut impl Write, data: &[u8]) -> io::Result<()> {
    encoder.write_all(data)?;
    encoder.flush()
}
