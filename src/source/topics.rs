//! Which topics the brokers have.

use std::ffi::CStr;

use rdkafka_sys as ffi;

use super::{ANSWER, Consumer, millis};
use crate::error::Result;

impl Consumer {
    /// Every topic's name, in order.
    pub fn topics(&self) -> Result<Vec<String>> {
        let mut metadata = std::ptr::null();
        // SAFETY: the answer is ours to free, once it has been read; null stands for every topic
        unsafe {
            let code = ffi::rd_kafka_metadata(
                self.handle,
                1,
                std::ptr::null_mut(),
                &raw mut metadata,
                millis(ANSWER),
            );
            self.checked(code, "read the list of topics")?;
            let count = usize::try_from((*metadata).topic_cnt).unwrap_or(0);
            let mut topics: Vec<String> = (0..count)
                .map(|at| CStr::from_ptr((*(*metadata).topics.add(at)).topic))
                .map(|name| name.to_string_lossy().into_owned())
                .collect();
            ffi::rd_kafka_metadata_destroy(metadata);
            topics.sort();
            Ok(topics)
        }
    }
}
