//! ClickHouse's own compressed blocks, as `decompress=1` bodies and `compress=1` answers carry them.
//!
//! ```text
//! checksum (16) │ method (1) │ size with these 9 bytes (4, LE) │ raw size (4, LE) │ payload
//!               └───────────── CityHash128 1.0.2 of all this ───────────────────────────┘
//! ```

use std::io::{self, BufRead, Read};

use cityhash_rs::cityhash_102_128;

use super::failure::{Code, Failure};

const CHECKSUM: usize = 16;
const HEADER: usize = 9;
const LZ4: u8 = 0x82;
const ZSTD: u8 = 0x90;
const NONE: u8 = 0x02;
/// The server's own bound for one block (1 GiB): a forged size must not make us allocate more.
const LARGEST: usize = 1 << 30;
/// Raw bytes per block that we write, the server's `max_compress_block_size`.
const WRITTEN: usize = 1 << 20;

/// Appends `data` as LZ4 blocks.
pub fn compress(data: &[u8], out: &mut Vec<u8>) {
    for raw in data.chunks(WRITTEN) {
        let payload = lz4_flex::block::compress(raw);
        let start = out.len() + CHECKSUM;
        out.resize(start, 0);
        out.push(LZ4);
        out.extend_from_slice(&size(payload.len() + HEADER));
        out.extend_from_slice(&size(raw.len()));
        out.extend_from_slice(&payload);
        let checksum = checksum(&out[start..]);
        out[start - CHECKSUM..start].copy_from_slice(&checksum);
    }
}

/// Sizes here are bounded by `LARGEST`, so they fit.
fn size(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

/// The two halves of the hash, high one first, each little-endian.
fn checksum(block: &[u8]) -> [u8; CHECKSUM] {
    cityhash_102_128(block).rotate_left(64).to_le_bytes()
}

/// Reads the raw bytes behind a row of blocks.
pub struct Blocks<R> {
    inner: R,
    packed: Vec<u8>,
    raw: Vec<u8>,
    at: usize,
}

impl<R: BufRead> Blocks<R> {
    pub fn new(inner: R) -> Self {
        Blocks {
            inner,
            packed: Vec::new(),
            raw: Vec::new(),
            at: 0,
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let mut front = [0; CHECKSUM + HEADER];
        self.inner.read_exact(&mut front)?;
        let [method, packed, raw] = [16, 17, 21].map(|at| match at {
            16 => usize::from(front[16]),
            _ => u32::from_le_bytes([front[at], front[at + 1], front[at + 2], front[at + 3]])
                as usize,
        });
        if !(HEADER..=LARGEST).contains(&packed) || raw > LARGEST {
            return Err(broken("a compressed block has an impossible size"));
        }
        self.packed.clear();
        self.packed.extend_from_slice(&front[CHECKSUM..]);
        // grows with the bytes that really come, whatever size the block claims
        let payload = (packed - HEADER) as u64;
        let got = (&mut self.inner)
            .take(payload)
            .read_to_end(&mut self.packed)?;
        if got as u64 != payload {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if checksum(&self.packed) != front[..CHECKSUM] {
            return Err(io::Error::other(Failure::new(
                Code::ChecksumDoesntMatch,
                "Checksum doesn't match: corrupted data",
            )));
        }
        self.at = 0;
        self.raw.resize(raw, 0);
        let payload = &self.packed[HEADER..];
        let written = match u8::try_from(method) {
            Ok(LZ4) => lz4_flex::block::decompress_into(payload, &mut self.raw).ok(),
            Ok(ZSTD) => zstd::bulk::decompress_to_buffer(payload, &mut self.raw[..]).ok(),
            Ok(NONE) if payload.len() == raw => {
                self.raw.copy_from_slice(payload);
                Some(raw)
            }
            _ => {
                return Err(io::Error::other(Failure::new(
                    Code::UnknownCompression,
                    format!("Unknown codec family code: {method}"),
                )));
            }
        };
        if written != Some(raw) {
            self.raw.clear();
            return Err(broken("a compressed block does not hold what it claims"));
        }
        Ok(())
    }
}

fn broken(message: &str) -> io::Error {
    io::Error::other(Failure::new(Code::CannotDecompress, message))
}

impl<R: BufRead> Read for Blocks<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let taken = self.fill_buf()?.read(out)?;
        self.consume(taken);
        Ok(taken)
    }
}

impl<R: BufRead> BufRead for Blocks<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.raw.len() && !self.inner.fill_buf()?.is_empty() {
            self.next_block()?;
        }
        Ok(&self.raw[self.at..])
    }

    fn consume(&mut self, taken: usize) {
        self.at += taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        Blocks::new(packed).read_to_end(&mut raw)?;
        Ok(raw)
    }

    fn code(error: io::Error) -> u32 {
        error
            .into_inner()
            .and_then(|inner| inner.downcast::<Failure>().ok())
            .map_or(0, |failure| failure.code())
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        for length in [0, 1, 1000, WRITTEN, WRITTEN * 2 + 7] {
            let data: Vec<u8> = (0..length).map(|i| (i * i % 251) as u8).collect();
            let mut packed = Vec::new();
            compress(&data, &mut packed);
            assert_eq!(unpack(&packed).unwrap(), data, "{length} bytes");
        }
    }

    #[test]
    fn a_damaged_or_forged_block_is_refused() {
        let mut packed = Vec::new();
        compress(&[7; 5000], &mut packed);
        let mut damaged = packed.clone();
        damaged[30] ^= 1;
        assert_eq!(code(unpack(&damaged).unwrap_err()), 40);
        let mut forged = packed.clone();
        forged[21..25].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(code(unpack(&forged).unwrap_err()), 271);
        assert!(unpack(&packed[..packed.len() - 1]).is_err());
    }
}
