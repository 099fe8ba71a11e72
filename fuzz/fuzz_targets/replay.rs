//! Coordinators' records as a broken peer or disk could hand them over: replay takes or refuses each, and what a
//! controller took gives the same state when taken again.
#![no_main]

use heddle_controller::{BrokerConfig, Controller};
use heddle_group::{GroupSettings, Groups};
use heddle_model::ProducerId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut controller = Controller::new(BrokerConfig::default().into());
    let mut groups = Groups::new(GroupSettings::default());
    let mut rest = data;
    let (mut controller_lives, mut groups_live) = (true, true);
    while let Some(record) = take_record(&mut rest) {
        let Record { kind, key, value } = record;
        // A refused record ends a state: it is not used further.
        match kind % 4 {
            0 => controller_lives = controller_lives && controller.replay(key, value).is_ok(),
            1 => groups_live = groups_live && groups.replay(key, value).is_ok(),
            2 => groups_live = groups_live && groups.replay_pending(ProducerId(i64::from(kind)), key, value).is_ok(),
            _ => groups.end_transaction(ProducerId(i64::from(kind & !3 | 2)), value.is_some()),
        }
    }
    let _ = heddle_raft::Config::decode(data);
});

struct Record<'a> {
    kind: u8,
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

/// Kind, key length, value length (255: a tombstone), key, value.
fn take_record<'a>(data: &mut &'a [u8]) -> Option<Record<'a>> {
    let (&[kind, key_bytes, value_bytes], rest) = data.split_first_chunk::<3>()?;
    let (key, rest) = rest.split_at_checked(usize::from(key_bytes))?;
    if value_bytes == 255 {
        *data = rest;
        return Some(Record { kind, key, value: None });
    }
    let (value, rest) = rest.split_at_checked(usize::from(value_bytes))?;
    *data = rest;
    Some(Record { kind, key, value: Some(value) })
}
