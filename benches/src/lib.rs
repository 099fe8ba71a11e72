//! Benches of Heddle; see README.md.
