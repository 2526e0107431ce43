//! Who else is in the group, and what they read.

use std::ffi::{CStr, c_char};
use std::time::Duration;

use rdkafka_sys as ffi;
use rdkafka_sys::RDKafkaErrorCode as Code;

use super::answers::of;
use super::partitions::{self, c_string};
use super::{Consumer, Partition};
use crate::error::Result;

/// A process of the group.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: String,
    pub host: String,
    pub partitions: Vec<Partition>,
}

impl Consumer {
    /// The group's members, whatever its protocol.
    pub fn members(&self, group: &str, patience: Duration) -> Result<Vec<Member>> {
        let name = c_string(group)?;
        let described = self.describe_group(&name, patience);
        described.map_err(|code| self.explain(code, &format!("describe group {group}")))
    }

    fn describe_group(&self, group: &CStr, patience: Duration) -> Result<Vec<Member>, Code> {
        let mut names = [group.as_ptr()];
        let (names, count) = (names.as_mut_ptr(), names.len());
        self.ask(
            ffi::RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            None,
            patience,
            |options, answers| {
                // SAFETY: the name outlives the call, which copies it
                unsafe {
                    ffi::rd_kafka_DescribeConsumerGroups(
                        self.handle,
                        names,
                        count,
                        options,
                        answers,
                    );
                }
            },
            // SAFETY: the event is valid
            |event| unsafe { read_answer(event) },
        )
    }
}

/// # Safety
/// `event` must be a valid event of a live consumer.
unsafe fn read_answer(event: *mut ffi::rd_kafka_event_t) -> Result<Vec<Member>, Code> {
    // SAFETY: the event is valid, its parts live as long as it does
    unsafe {
        let result = ffi::rd_kafka_event_DescribeConsumerGroups_result(event);
        if result.is_null() {
            return Ok(Vec::new());
        }
        let mut count = 0;
        let groups = ffi::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        if groups.is_null() || count == 0 {
            return Ok(Vec::new());
        }
        let group = *groups;
        let error = ffi::rd_kafka_ConsumerGroupDescription_error(group);
        if !error.is_null() {
            of(ffi::rd_kafka_error_code(error))?;
        }
        let members = 0..ffi::rd_kafka_ConsumerGroupDescription_member_count(group);
        let member = |at| read_member(ffi::rd_kafka_ConsumerGroupDescription_member(group, at));
        Ok(members.map(member).collect())
    }
}

/// # Safety
/// `member` must be a valid part of a live event.
unsafe fn read_member(member: *const ffi::rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: the member is valid; librdkafka's texts are NUL-terminated or null, its lists null or valid
    unsafe {
        let assignment = ffi::rd_kafka_MemberDescription_assignment(member);
        let assigned = match assignment.is_null() {
            true => std::ptr::null(),
            false => ffi::rd_kafka_MemberAssignment_partitions(assignment),
        };
        let assigned = partitions::read(assigned).into_iter();
        Member {
            id: text(ffi::rd_kafka_MemberDescription_consumer_id(member)),
            host: text(ffi::rd_kafka_MemberDescription_host(member)),
            partitions: assigned.map(|positioned| positioned.partition).collect(),
        }
    }
}

/// # Safety
/// `text` must be null or NUL-terminated.
unsafe fn text(text: *const c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: as the caller promises
        false => unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned(),
    }
}
