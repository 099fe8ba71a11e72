//! Subscriptions by regular expression (RE2 syntax). A name matches if the whole of it does.

use regex::{Regex, RegexBuilder};

use crate::{Context, Refusal, TopicName, schema::consumer::RegexValue};

/// What a compiled expression may take. Bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build()
}

/// Whether a pattern is one that a subscription may have.
pub fn is_regex(pattern: &str) -> bool {
    compile(pattern).is_ok()
}

/// The topics that an expression matches now.
pub(crate) fn resolve(pattern: &str, context: Context<'_>) -> Result<RegexValue, Refusal> {
    let invalid = |error: regex::Error| {
        Refusal::InvalidRegex(format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {error}."))
    };
    // By itself first: what is only valid inside the anchors is not valid.
    compile(pattern).map_err(invalid)?;
    let whole = compile(&format!("^(?:{pattern})$")).map_err(invalid)?;
    let mut topics = Vec::new();
    context.topics.each_name(&mut |name| {
        if whole.is_match(name) {
            topics.push(TopicName::new(name));
        }
    });
    topics.sort();
    Ok(RegexValue { topics, version: context.topics.version() as i64, timestamp: context.now.wall.0 })
}
