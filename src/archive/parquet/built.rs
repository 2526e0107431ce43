//! One row group for each chunk: a reader holds one of them at a time.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use crate::archive::Chunk;
use crate::archive::chunk::Texts;
use crate::error::{Error, Kind, Result};
use crate::source::Kept;

/// Topic, epoch, date and partition stand in the file's name.
const SCHEMA: &str = "message kafka {
    required int64 offset;
    optional int64 timestamp (TIMESTAMP(MILLIS, true));
    optional binary key;
    optional binary value;
    required group headers (LIST) {
        repeated group list {
            required group element {
                required binary name (STRING);
                optional binary value;
            }
        }
    }
}";

/// The fastest of zstd: level 3 makes Debezium's JSON a tenth smaller for twice the time.
const LEVEL: i32 = 1;

/// A file that grows in memory, encoded.
pub struct File {
    writer: SerializedFileWriter<Vec<u8>>,
}

impl File {
    pub fn begin() -> Result<File> {
        let begin = || -> Result<_, ParquetError> {
            let level = ZstdLevel::try_new(LEVEL)?;
            let mut properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None);
            for column in ["offset", "timestamp"] {
                let path = ColumnPath::from(column);
                properties = properties
                    .set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
            let schema = Arc::new(parse_message_type(SCHEMA)?);
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))
        };
        let writer = begin().map_err(not_encoded)?;
        Ok(File { writer })
    }

    pub fn append(&mut self, chunk: Chunk) -> Result<()> {
        write(&mut self.writer, chunk).map_err(not_encoded)
    }

    /// Held in memory.
    pub fn bytes(&self) -> usize {
        self.writer.inner().capacity()
    }

    pub fn end(self) -> Result<Bytes> {
        let bytes = self.writer.into_inner().map_err(not_encoded)?;
        Ok(Bytes::from(bytes))
    }
}

fn not_encoded(error: ParquetError) -> Error {
    Error::new(Kind::Internal, "messages cannot be written as Parquet").because(error)
}

fn write(writer: &mut SerializedFileWriter<Vec<u8>>, chunk: Chunk) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    column::<Int64Type>(&mut group, &chunk.offsets, None, None)?;
    let (levels, times): (Vec<i16>, Vec<Option<i64>>) = chunk
        .timestamps
        .iter()
        .map(|time| (i16::from(time.is_some()), *time))
        .unzip();
    let times: Vec<i64> = times.into_iter().flatten().collect();
    column::<Int64Type>(&mut group, &times, Some(&levels), None)?;
    for texts in [chunk.keys, chunk.values] {
        let (levels, texts) = of_texts(texts, 0);
        column::<ByteArrayType>(&mut group, &texts, Some(&levels), None)?;
    }
    for texts in [
        // a name is there whenever its header is
        (chunk.header_names, 0),
        (chunk.header_values, 1),
    ] {
        let (levels, values) = of_texts(texts.0, texts.1);
        let (levels, repeats) = in_lists(&chunk.header_counts, &levels);
        column::<ByteArrayType>(&mut group, &values, Some(&levels), Some(&repeats))?;
    }
    group.close()?;
    Ok(())
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
    repeats: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("a column too many".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, repeats)?;
    column.close()
}

/// Which texts are there, as definition levels above `base`, and those that are.
fn of_texts(texts: Texts, base: i16) -> (Vec<i16>, Vec<ByteArray>) {
    let bytes = Bytes::from(texts.bytes);
    let mut start = 0;
    let mut levels = Vec::with_capacity(texts.ends.len());
    let mut values = Vec::with_capacity(texts.ends.len());
    for end in texts.ends {
        levels.push(base + i16::from(end.is_some()));
        if let Some(end) = end {
            values.push(ByteArray::from(bytes.slice(start..end)));
            start = end;
        }
    }
    (levels, values)
}

/// The same levels with an empty list for each message without headers, and where each list begins.
fn in_lists(counts: &[usize], levels: &[i16]) -> (Vec<i16>, Vec<i16>) {
    let mut levels = levels.iter().copied();
    let (mut definitions, mut repeats) = (Vec::new(), Vec::new());
    for count in counts {
        if *count == 0 {
            definitions.push(0);
            repeats.push(0);
        }
        for at in 0..*count {
            definitions.extend(levels.next());
            repeats.push(i16::from(at > 0));
        }
    }
    (definitions, repeats)
}

/// The messages of one file, one row group after the other.
pub struct Rows {
    reader: SerializedFileReader<Bytes>,
    partition: i32,
    next: usize,
}

impl Rows {
    pub fn open(bytes: Bytes, partition: i32) -> Result<Rows> {
        let reader = SerializedFileReader::new(bytes).map_err(not_read)?;
        Ok(Rows {
            reader,
            partition,
            next: 0,
        })
    }

    pub fn next(&mut self) -> Result<Option<Vec<Kept>>> {
        if self.next >= self.reader.num_row_groups() {
            return Ok(None);
        }
        let read = self.group(self.next).map_err(not_read)?;
        self.next += 1;
        Ok(Some(read))
    }

    fn group(&self, index: usize) -> Result<Vec<Kept>, ParquetError> {
        let group = self.reader.get_row_group(index)?;
        let rows = usize::try_from(group.metadata().num_rows())?;
        let group = group.as_ref();
        let offsets = read::<Int64Type>(group, 0, rows)?.values;
        let mut times = read::<Int64Type>(group, 1, rows)?.optional(1);
        let mut keys = read::<ByteArrayType>(group, 2, rows)?.optional(1);
        let mut values = read::<ByteArrayType>(group, 3, rows)?.optional(1);
        let mut headers = headers(
            read::<ByteArrayType>(group, 4, rows)?,
            read::<ByteArrayType>(group, 5, rows)?,
        );
        let owned = |text: Option<ByteArray>| text.map(|text| text.data().to_vec());
        let row = |offset| {
            Some(Kept {
                partition: self.partition,
                offset,
                key: owned(keys.next()?),
                value: owned(values.next()?),
                timestamp: times.next()?,
                headers: headers.next()?,
            })
        };
        let read: Option<Vec<Kept>> = offsets.into_iter().map(row).collect();
        read.ok_or_else(|| ParquetError::General("columns of different lengths".to_owned()))
    }
}

fn not_read(error: ParquetError) -> Error {
    Error::new(
        Kind::File,
        "an archive file cannot be read as messages in Parquet",
    )
    .because(error)
}

/// One column of a row group, with its levels.
struct Column<T> {
    values: Vec<T>,
    levels: Vec<i16>,
    repeats: Vec<i16>,
}

fn read<T: DataType>(
    group: &dyn RowGroupReader,
    index: usize,
    rows: usize,
) -> Result<Column<T::T>, ParquetError> {
    let reader: ColumnReader = group.get_column_reader(index)?;
    let mut reader = get_typed_column_reader::<T>(reader);
    let mut column = Column {
        values: Vec::new(),
        levels: Vec::new(),
        repeats: Vec::new(),
    };
    let mut left = rows;
    while left > 0 {
        let (records, _, _) = reader.read_records(
            left,
            Some(&mut column.levels),
            Some(&mut column.repeats),
            &mut column.values,
        )?;
        if records == 0 {
            break;
        }
        left -= records;
    }
    Ok(column)
}

impl<T> Column<T> {
    /// One for each level; those that reach `full` have a value.
    fn optional(self, full: i16) -> impl Iterator<Item = Option<T>> {
        let mut values = self.values.into_iter();
        let levels = self.levels.into_iter();
        levels.map(move |level| (level == full).then(|| values.next())?)
    }
}

type Headers = Vec<(String, Option<Vec<u8>>)>;

fn headers(
    names: Column<ByteArray>,
    mut values: Column<ByteArray>,
) -> impl Iterator<Item = Headers> {
    let repeats = std::mem::take(&mut values.repeats);
    let levels = values.levels.clone();
    let mut lists: Vec<Headers> = Vec::new();
    let texts = names.optional(1).zip(values.optional(2));
    for ((repeat, level), (name, value)) in repeats.into_iter().zip(levels).zip(texts) {
        if repeat == 0 {
            lists.push(Vec::new());
        }
        if let (Some(list), Some(name), true) = (lists.last_mut(), name, level > 0) {
            let name = String::from_utf8_lossy(name.data()).into_owned();
            list.push((name, value.map(|value| value.data().to_vec())));
        }
    }
    lists.into_iter()
}

#[cfg(test)]
mod tests;
