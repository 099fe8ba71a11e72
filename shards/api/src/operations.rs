//! What a client may do with a thing (KIP-430). There is no authorizer, so that is all that Kafka knows of for its kind,
//! as a Kafka broker without one says.

// Kafka's numbers of operations (its `AclOperation`).
const READ: u8 = 3;
const WRITE: u8 = 4;
const CREATE: u8 = 5;
const DELETE: u8 = 6;
const ALTER: u8 = 7;
const DESCRIBE: u8 = 8;
const CLUSTER_ACTION: u8 = 9;
const DESCRIBE_CONFIGS: u8 = 10;
const ALTER_CONFIGS: u8 = 11;
const IDEMPOTENT_WRITE: u8 = 12;

/// What responses say to those who did not ask: the schema's default.
pub(crate) const NOT_ASKED: i32 = i32::MIN;

pub(crate) const OF_TOPICS: i32 =
    bits(&[READ, WRITE, CREATE, DESCRIBE, DELETE, ALTER, DESCRIBE_CONFIGS, ALTER_CONFIGS]);
pub(crate) const OF_GROUPS: i32 = bits(&[READ, DESCRIBE, DELETE, DESCRIBE_CONFIGS, ALTER_CONFIGS]);
pub(crate) const OF_CLUSTER: i32 =
    bits(&[CREATE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE, ALTER, DESCRIBE]);

/// One bit for each operation, at the place of its number.
const fn bits(operations: &[u8]) -> i32 {
    let mut all = 0;
    let mut place = 0;
    while place < operations.len() {
        all |= 1 << operations[place];
        place += 1;
    }
    all
}

/// `operations` for who asked, else what stands for not having asked.
pub(crate) fn if_asked(asked: bool, operations: i32) -> i32 {
    if asked { operations } else { NOT_ASKED }
}
