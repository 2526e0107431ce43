//! librdkafka's list of topic partitions, owned and safe.

use std::ffi::{CStr, CString};

use rdkafka_sys as ffi;

use crate::error::{Error, Kind, Result};

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: String,
    pub number: i32,
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic {} partition {}", self.topic, self.number)
    }
}

/// A partition, an offset (`None` where there is none) and what librdkafka said about it.
#[derive(Clone, Debug)]
pub struct Positioned {
    pub partition: Partition,
    pub offset: Option<i64>,
    pub error: Option<ffi::RDKafkaErrorCode>,
}

/// A subscription names topics, not partitions.
const UNASSIGNED: i32 = -1;
/// librdkafka's RD_KAFKA_OFFSET_INVALID: no offset is given.
const NO_OFFSET: i64 = -1001;

/// Freed when dropped.
pub struct List(*mut ffi::rd_kafka_topic_partition_list_t);

impl List {
    pub fn of_topics<'a>(topics: impl IntoIterator<Item = &'a str>) -> Result<List> {
        let list = List::empty();
        for topic in topics {
            list.add(topic, UNASSIGNED, None)?;
        }
        Ok(list)
    }

    pub fn of<'a>(offsets: impl IntoIterator<Item = (&'a Partition, Option<i64>)>) -> Result<List> {
        let list = List::empty();
        for (partition, offset) in offsets {
            list.add(&partition.topic, partition.number, offset)?;
        }
        Ok(list)
    }

    /// Each partition at a next offset.
    pub fn at<'a>(offsets: impl IntoIterator<Item = (&'a Partition, i64)>) -> Result<List> {
        let offsets = offsets.into_iter();
        List::of(offsets.map(|(partition, next)| (partition, Some(next))))
    }

    fn empty() -> List {
        // SAFETY: a list of any size may be made; it grows by itself
        List(unsafe { ffi::rd_kafka_topic_partition_list_new(16) })
    }

    fn add(&self, topic: &str, number: i32, offset: Option<i64>) -> Result<()> {
        let topic = c_string(topic)?;
        // SAFETY: the list is ours and alive; the name is copied
        let element =
            unsafe { ffi::rd_kafka_topic_partition_list_add(self.0, topic.as_ptr(), number) };
        // SAFETY: the element was just made inside our list
        unsafe { (*element).offset = offset.unwrap_or(NO_OFFSET) };
        Ok(())
    }

    /// Of librdkafka's answers some overwrite what they were asked with.
    pub fn copy(&self) -> List {
        // SAFETY: our list is alive; the copy is another one
        List(unsafe { ffi::rd_kafka_topic_partition_list_copy(self.0) })
    }

    pub fn as_ptr(&self) -> *mut ffi::rd_kafka_topic_partition_list_t {
        self.0
    }

    pub fn read(&self) -> Vec<Positioned> {
        // SAFETY: our list stays alive while it is read
        unsafe { read(self.0) }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: made by us, freed once
        unsafe { ffi::rd_kafka_topic_partition_list_destroy(self.0) }
    }
}

/// Copies a list of librdkafka's.
///
/// # Safety
/// `list` must be null or point to a valid list for the duration of the call.
pub unsafe fn read(list: *const ffi::rd_kafka_topic_partition_list_t) -> Vec<Positioned> {
    if list.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller promises a valid list; `elems` holds `cnt` elements
    let elements = unsafe {
        let list = &*list;
        if list.elems.is_null() {
            return Vec::new();
        }
        std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
    };
    let copy = |element: &ffi::rd_kafka_topic_partition_t| Positioned {
        partition: Partition {
            // SAFETY: librdkafka's topic names are NUL-terminated and live as long as the list
            topic: unsafe { CStr::from_ptr(element.topic) }
                .to_string_lossy()
                .into_owned(),
            number: element.partition,
        },
        offset: (element.offset >= 0).then_some(element.offset),
        error: match element.err {
            ffi::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => None,
            code => Some(code.into()),
        },
    };
    elements.iter().map(copy).collect()
}

pub fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|error| {
        Error::new(Kind::Config, "a name for Kafka cannot hold a NUL byte").because(error)
    })
}
