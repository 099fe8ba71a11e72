//! fakedisk
