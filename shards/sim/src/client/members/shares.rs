//! What members of the classic protocol tell each other through the coordinator: Kafka's consumer protocol, version 0.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::client::admin::KEPT;

/// "I read the kept topic."
pub fn subscription() -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(1);
    put_name(&mut out);
    out.put_i32(-1);
    out.freeze()
}

/// "These partitions of it are yours."
pub fn assignment(partitions: &[i32]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(1);
    put_name(&mut out);
    out.put_i32(partitions.len() as i32);
    partitions.iter().for_each(|partition| out.put_i32(*partition));
    out.put_i32(-1);
    out.freeze()
}

fn put_name(out: &mut BytesMut) {
    out.put_i16(KEPT.len() as i16);
    out.put_slice(KEPT.as_bytes());
}

/// # Errors
/// If this is nothing that a leader wrote, or the coordinator for it.
pub fn read(assignment: Bytes) -> Result<Vec<i32>, String> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    partitions_of(assignment).ok_or_else(|| "an assignment that nobody wrote".to_string())
}

fn partitions_of(mut assignment: Bytes) -> Option<Vec<i32>> {
    let (_version, topics) = (assignment.try_get_i16().ok()?, assignment.try_get_i32().ok()?);
    let mut partitions = Vec::new();
    for _ in 0..topics {
        let length = usize::try_from(assignment.try_get_i16().ok()?).ok()?;
        let name = assignment.get(..length)?;
        if name != KEPT.as_bytes() {
            return None;
        }
        assignment.advance(length);
        for _ in 0..assignment.try_get_i32().ok()? {
            partitions.push(assignment.try_get_i32().ok()?);
        }
    }
    // No data of the clients' own.
    (assignment.try_get_i32().ok()? == -1 && assignment.is_empty()).then_some(partitions)
}

/// Every partition to one member, around in turns.
pub fn divide(partitions: i32, members: &[String], me: usize) -> Vec<i32> {
    (0..partitions).filter(|partition| *partition as usize % members.len() == me).collect()
}
