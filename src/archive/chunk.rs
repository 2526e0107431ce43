//! Messages of one partition as columns, before they are encoded.

use crate::source::RawMessage;

/// Present or absent texts, one after the other.
#[derive(Debug, Default)]
pub struct Texts {
    pub bytes: Vec<u8>,
    /// where each text ends; `None` where there is none
    pub ends: Vec<Option<usize>>,
}

impl Texts {
    fn push(&mut self, text: Option<&[u8]>) {
        let end = text.map(|text| {
            self.bytes.extend_from_slice(text);
            self.bytes.len()
        });
        self.ends.push(end);
    }
}

#[derive(Debug, Default)]
pub struct Chunk {
    pub offsets: Vec<i64>,
    /// milliseconds since 1970
    pub timestamps: Vec<Option<i64>>,
    pub keys: Texts,
    pub values: Texts,
    /// headers of each message
    pub header_counts: Vec<usize>,
    pub header_names: Texts,
    pub header_values: Texts,
}

impl Chunk {
    pub fn push(&mut self, message: &RawMessage<'_>) {
        self.offsets.push(message.offset());
        self.timestamps.push(message.timestamp());
        self.keys.push(message.key());
        self.values.push(message.value());
        let headers = message.headers();
        self.header_counts.push(headers.len());
        for (name, value) in headers {
            self.header_names.push(Some(name.as_bytes()));
            self.header_values.push(value.as_deref());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub fn bytes(&self) -> usize {
        /// of an offset, a time and the ends of texts
        const ROW: usize = 64;
        let texts = [
            &self.keys,
            &self.values,
            &self.header_names,
            &self.header_values,
        ];
        let bytes: usize = texts.iter().map(|texts| texts.bytes.capacity()).sum();
        bytes + self.offsets.len() * ROW
    }
}
