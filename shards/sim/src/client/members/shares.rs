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
/// If this is nothing that a leader wrote.
pub fn read(mut assignment: Bytes) -> Result<Vec<i32>, String> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let fixed = 2 + 4 + 2 + KEPT.len() + 4;
    if assignment.len() < fixed {
        return Err("an assignment that nobody wrote".into());
    }
    assignment.advance(fixed - 4);
    let count = assignment.get_i32();
    if count < 0 || assignment.len() != count as usize * 4 + 4 {
        return Err("an assignment that nobody wrote".into());
    }
    Ok((0..count).map(|_| assignment.get_i32()).collect())
}

/// Every partition to one member, around in turns.
pub fn divide(partitions: i32, members: &[String], me: usize) -> Vec<i32> {
    (0..partitions).filter(|partition| *partition as usize % members.len() == me).collect()
}
