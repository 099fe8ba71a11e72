//! The small private formats, as a broken peer or disk could hand them over: messages and memberships of a group, whose
//! replica a journal record is, and the producers beside a segment. What is taken is written down as it came.
#![no_main]

use bytes::Bytes;
use heddle_partition::{read_identity, read_producers};
use heddle_raft::{Config, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            if let Ok(message) = Message::decode(bytes) {
                let mut again = Vec::new();
                message.encode(&mut again);
                assert_eq!(Message::decode(&again), Ok(message));
            }
        }
        1 => {
            if let Ok(config) = Config::decode(bytes) {
                let mut again = Vec::new();
                config.encode(&mut again);
                assert_eq!(Config::decode(&again), Ok(config));
            }
        }
        2 => {
            let _ = read_identity(Bytes::copy_from_slice(bytes));
        }
        _ => {
            // A snapshot, and changes after it.
            let (&at, bytes) = bytes.split_first().unwrap_or((&0, bytes));
            let (snapshot, changes) = bytes.split_at(usize::from(at).min(bytes.len()));
            let _ = read_producers(&[Bytes::copy_from_slice(snapshot), Bytes::copy_from_slice(changes)]);
        }
    }
});
