//! Packed bytes through each codec: the output limit holds, and what comes out packs and unpacks to itself.
#![no_main]

use heddle_model::Codec;
use heddle_records::{compress, decompress};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Some((&first, packed)) = data.split_first() else { return };
    let codec = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd][usize::from(first) % 4];
    if let Ok(unpacked) = decompress(packed, codec, LIMIT) {
        assert!(unpacked.len() <= LIMIT);
        let again = decompress(&compress(&unpacked, codec, 1), codec, LIMIT);
        assert_eq!(again.as_ref(), Ok(&unpacked));
    }
});
