//! DescribeConfigs, AlterConfigs, IncrementalAlterConfigs.

use heddle_protocol::ErrorCode;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::*;
use kafka_protocol::messages::{alter_configs_request as replace, incremental_alter_configs_request as edit};
use kafka_protocol::protocol::StrBytes;

use crate::broker::{Broker, Mood, versions};
use crate::topics::{code, create};

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn describe(broker: &mut Broker, version: i16, kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    let mut request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    if version >= 3 {
        request = request.with_include_documentation(true);
    }
    let mut response = broker.call(version, &request);
    assert_eq!(response.results.len(), 1);
    response.results.remove(0)
}

#[test]
fn configs_are_described_in_every_version() {
    let mut broker = Broker::new(&[("num.partitions", "4")]);
    create(&mut broker, &[("a", 1)]);
    for version in versions::<DescribeConfigsRequest>() {
        let all = describe(&mut broker, version, 2, "a", None);
        assert_eq!((all.error_code, all.resource_type, &*all.resource_name), (0, 2, "a"));
        assert_eq!(all.configs.len(), describe(&mut broker, version, 2, "a", Some(&[])).configs.len());
        let policy = all.configs.iter().find(|config| &*config.name == "cleanup.policy").expect("described");
        assert_eq!((policy.value.as_deref(), policy.config_source, policy.read_only), (Some("delete"), 5, false));
        assert_eq!(policy.synonyms.len(), 1);
        if version >= 3 {
            assert_eq!(policy.config_type, 7);
            assert!(policy.documentation.as_ref().is_some_and(|text| !text.is_empty()));
        }
        let one = describe(&mut broker, version, 2, "a", Some(&["retention.ms", "nonsense"]));
        assert_eq!(one.configs.len(), 1);
        let own = describe(&mut broker, version, 4, "1", Some(&["num.partitions", "broker.rack"]));
        let shown: Vec<_> = own.configs.iter().map(|c| (c.value.as_deref(), c.config_source, c.read_only)).collect();
        assert_eq!(shown, [(None, 5, true), (Some("4"), 4, true)]);
        let for_all = describe(&mut broker, version, 4, "", None).configs;
        let shown: Vec<_> = for_all.iter().map(|c| (&*c.name, c.value.as_deref(), c.config_source)).collect();
        assert_eq!(shown, [("min.insync.replicas", Some("1"), 3)], "as in a new cluster of Kafka's");
        for (kind, name, error) in [
            (2, "nobody", ErrorCode::UnknownTopicOrPartition),
            (2, "no body", ErrorCode::InvalidTopicException),
            (4, "2", ErrorCode::InvalidRequest),
            (4, "x", ErrorCode::InvalidRequest),
            (8, "1", ErrorCode::InvalidRequest),
            (16, "metrics", ErrorCode::InvalidRequest),
            (77, "a", ErrorCode::InvalidRequest),
        ] {
            let wrong = describe(&mut broker, version, kind, name, None);
            assert_eq!((wrong.error_code, wrong.configs.len()), (code(error), 0), "{kind} {name}");
            let said = wrong.error_message.expect("errors are explained");
            assert_eq!((said.contains("--log-level"), said.contains("KIP-714")), (kind == 8, kind == 16), "{said}");
        }
    }
    let silent = DescribeConfigsResource::default().with_resource_type(2).with_resource_name(text("a"));
    let response = broker.call(4, &DescribeConfigsRequest::default().with_resources(vec![silent]));
    assert!(response.results[0].configs.iter().all(|c| c.synonyms.is_empty() && c.documentation.is_none()));
}

/// Any name is that of a group, and each group has all configs: a small request could ask for an answer of any size.
#[test]
fn what_one_answer_describes_is_bounded_and_each_resource_is_described_once() {
    let mut broker = Broker::new(&[]);
    let group = |name: &str| DescribeConfigsResource::default().with_resource_type(32).with_resource_name(text(name));
    let twice = vec![group("a"), group("b"), group("a")];
    let response = broker.call(4, &DescribeConfigsRequest::default().with_resources(twice));
    let names: Vec<_> = response.results.iter().map(|one| one.resource_name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    let each = response.results[0].configs.len();
    let many = (0..250_000 / each + 2).map(|number| group(&number.to_string())).collect();
    let response = broker.call(4, &DescribeConfigsRequest::default().with_resources(many));
    let described = response.results.iter().filter(|one| one.error_code == 0).map(|one| one.configs.len());
    assert!((250_000..250_000 + each).contains(&described.sum()));
    let last = response.results.last().expect("all are answered");
    assert_eq!((last.error_code, last.configs.len()), (code(ErrorCode::PolicyViolation), 0));
}

fn replaced(kind: i8, name: &str, configs: &[(&str, Option<&str>)]) -> replace::AlterConfigsResource {
    let config = |(name, value): &(&str, Option<&str>)| {
        replace::AlterableConfig::default().with_name(text(name)).with_value(value.map(text))
    };
    let configs = configs.iter().map(config).collect();
    replace::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs)
}

#[test]
fn configs_are_replaced_in_every_version() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 1)]);
    for version in versions::<AlterConfigsRequest>() {
        for (name, value) in [("retention.ms", "5"), ("segment.bytes", "1048576")] {
            let resources = vec![replaced(2, "a", &[(name, Some(value))]), replaced(2, "b", &[])];
            let response = broker.call(version, &AlterConfigsRequest::default().with_resources(resources));
            let codes: Vec<i16> = response.responses.iter().map(|one| one.error_code).collect();
            assert_eq!(codes, [0, code(ErrorCode::UnknownTopicOrPartition)]);
            let overrides = broker.image().topic("a").expect("made").overrides.clone();
            assert_eq!(overrides.into_iter().collect::<Vec<_>>(), [(name.to_owned(), value.to_owned())]);
        }
    }
    // What Kafka's `ConfigAdminManager` refuses before it looks at any config.
    let before = broker.image().topic("a").expect("made").overrides.clone();
    for (kind, name) in [(2, "a"), (4, ""), (4, "1"), (32, "g")] {
        for (configs, message) in [
            (vec![("x", None), ("y", None)], "Null value not supported for : x,y"),
            (vec![("x", Some("1")), ("x", Some("2"))], "Error due to duplicate config keys"),
        ] {
            let request = AlterConfigsRequest::default().with_resources(vec![replaced(kind, name, &configs)]);
            let refused = broker.call(2, &request).responses.remove(0);
            let said = (refused.error_code, refused.error_message.as_deref());
            assert_eq!(said, (code(ErrorCode::InvalidRequest), Some(message)), "{kind} {name}");
        }
    }
    assert_eq!(broker.image().topic("a").expect("made").overrides, before);
    for (kind, name, message) in [
        (2, "", "Default topic resources are not allowed."),
        (4, "x", "Node id must be an integer, but it is: x"),
        (99, "x", "Unknown resource type 99"),
    ] {
        let request = AlterConfigsRequest::default().with_resources(vec![replaced(kind, name, &[])]);
        let refused = broker.call(2, &request).responses.remove(0);
        let said = (refused.error_code, refused.error_message.as_deref());
        assert_eq!(said, (code(ErrorCode::InvalidRequest), Some(message)), "{kind} {name}");
    }
    let dry = AlterConfigsRequest::default().with_validate_only(true);
    let response = broker.call(2, &dry.with_resources(vec![replaced(2, "a", &[("retention.ms", Some("x"))])]));
    assert_eq!(response.responses[0].error_code, code(ErrorCode::InvalidConfig));
}

#[test]
fn a_broker_is_configured_alone_over_what_stands_for_all() {
    for version in versions::<IncrementalAlterConfigsRequest>() {
        let mut broker = Broker::new(&[("node.id", "1")]);
        create(&mut broker, &[("a", 1)]);
        let mut alter = |name: &str, config: &str, op: i8, value: Option<&str>| {
            let resources = vec![edited(4, name, &[(config, op, value)])];
            let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
            broker.call(version, &request).responses[0].error_code
        };
        assert_eq!(alter("", "log.retention.ms", 0, Some("8")), 0);
        assert_eq!(alter("1", "log.retention.ms", 0, Some("9")), 0);
        assert_eq!(alter("2", "log.retention.ms", 0, Some("9")), code(ErrorCode::InvalidRequest));
        assert_eq!(alter("1", "num.partitions", 0, Some("9")), code(ErrorCode::InvalidRequest));
        for (name, op, value) in [("1", 0, Some("2")), ("1", 1, None), ("", 1, None)] {
            let refused = code(ErrorCode::InvalidConfig);
            assert_eq!(alter(name, "min.insync.replicas", op, value), refused, "{name:?} {op}");
        }
        assert_eq!(alter("", "min.insync.replicas", 0, Some("1")), 0);
        assert_eq!(broker.image().topic("a").expect("made").settings.retention_ms, 9);
        let own = describe(&mut broker, 4, 4, "1", Some(&["log.retention.ms"])).configs.remove(0);
        assert_eq!((own.value.as_deref(), own.config_source, own.read_only), (Some("9"), 2, false));
        let sources: Vec<_> = own.synonyms.iter().map(|one| (one.value.as_deref(), one.source)).collect();
        assert_eq!(sources, [(Some("9"), 2), (Some("8"), 3), (Some("168"), 5)]);
        let mut alter = |name: &str, op: i8| {
            let resources = vec![edited(4, name, &[("log.retention.ms", op, None)])];
            let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
            broker.call(version, &request).responses[0].error_code
        };
        assert_eq!(alter("1", 1), 0);
        assert_eq!(broker.image().topic("a").expect("made").settings.retention_ms, 8);
    }
}

#[test]
fn a_group_is_configured_whether_it_exists_or_not() {
    let (mut broker, name) = (Broker::new(&[]), "consumer.session.timeout.ms");
    let value = |broker: &mut Broker, group| {
        let one = describe(broker, 4, 32, group, Some(&[name])).configs.remove(0);
        (one.value.map(|value| value.to_string()), one.config_source, one.read_only, one.synonyms.len())
    };
    assert_eq!(value(&mut broker, "g"), (Some("45000".into()), 5, false, 1));
    for version in versions::<IncrementalAlterConfigsRequest>() {
        let resources = vec![
            edited(32, "g", &[(name, 0, Some("50000"))]),
            edited(32, "h", &[(name, 0, Some("1000"))]),
            edited(32, "", &[(name, 0, Some("50000"))]),
        ];
        let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
        let codes: Vec<i16> = broker.call(version, &request).responses.iter().map(|one| one.error_code).collect();
        assert_eq!(codes, [0, code(ErrorCode::InvalidConfig), code(ErrorCode::InvalidRequest)]);
    }
    assert_eq!(value(&mut broker, "g"), (Some("50000".into()), 8, false, 2));
    assert_eq!(value(&mut broker, "h").1, 5);
    assert_eq!(describe(&mut broker, 4, 32, "", None).error_code, code(ErrorCode::InvalidRequest));
    let listed = broker.call(1, &ListConfigResourcesRequest::default().with_resource_types(vec![32]));
    let listed: Vec<_> = listed.config_resources.iter().map(|one| one.resource_name.to_string()).collect();
    assert_eq!(listed, ["g"]);
    for version in versions::<AlterConfigsRequest>() {
        let request = AlterConfigsRequest::default().with_resources(vec![replaced(32, "g", &[])]);
        assert_eq!(broker.call(version, &request).responses[0].error_code, 0);
        assert_eq!(value(&mut broker, "g").1, 5);
    }
}

fn edited(kind: i8, name: &str, edits: &[(&str, i8, Option<&str>)]) -> edit::AlterConfigsResource {
    let config = |(name, op, value): &(&str, i8, Option<&str>)| {
        edit::AlterableConfig::default().with_name(text(name)).with_config_operation(*op).with_value(value.map(text))
    };
    let configs = edits.iter().map(config).collect();
    edit::AlterConfigsResource::default().with_resource_type(kind).with_resource_name(text(name)).with_configs(configs)
}

#[test]
fn configs_are_edited_in_every_version() {
    let mut broker = Broker::new(&[]);
    create(&mut broker, &[("a", 1)]);
    for version in versions::<IncrementalAlterConfigsRequest>() {
        let mut alter = |resources: Vec<edit::AlterConfigsResource>| {
            let request = IncrementalAlterConfigsRequest::default().with_resources(resources);
            let response = broker.call(version, &request);
            let named = |r: &incremental_alter_configs_response::AlterConfigsResourceResponse| {
                (r.resource_type, r.resource_name.to_string(), r.error_code)
            };
            (response.responses.iter().map(named).collect::<Vec<_>>(), broker.asked.len(), broker.image())
        };
        let (answers, _, image) = alter(vec![
            edited(2, "a", &[("cleanup.policy", 2, Some("compact")), ("retention.ms", 0, Some("9"))]),
            edited(2, "b", &[]),
            edited(16, "metrics", &[]),
            edited(4, "", &[("log.retention.bytes", 0, Some("1000"))]),
            edited(4, "x", &[]),
            edited(2, "c", &[("retention.ms", 4, Some("1"))]),
        ]);
        let invalid = code(ErrorCode::InvalidRequest);
        let expected = [
            (2, "a", 0),
            (2, "b", code(ErrorCode::UnknownTopicOrPartition)),
            (16, "metrics", invalid),
            (4, "", 0),
            (4, "x", invalid),
            (2, "c", invalid),
        ];
        assert_eq!(answers, expected.map(|(kind, name, error)| (kind, name.to_owned(), error)));
        let settings = &image.topic("a").expect("made").settings;
        assert!(settings.cleanup_compact && settings.cleanup_delete);
        assert_eq!((settings.retention_ms, settings.retention_bytes), (9, 1000));
        let (answers, _, image) =
            alter(vec![edited(2, "a", &[("cleanup.policy", 3, Some("compact")), ("retention.ms", 1, None)])]);
        assert_eq!(answers[0].2, 0);
        assert_eq!(image.topic("a").expect("made").settings.retention_ms, 604_800_000);
        // A resource that stands twice is refused twice, whatever else is wrong; what is wrong alone asks nobody.
        let (answers, asked, _) = alter(vec![edited(2, "a", &[("x", 9, None)]), edited(2, "a", &[])]);
        assert_eq!((answers, asked), (vec![(2, "a".to_owned(), invalid); 2], 0));
        let (answers, asked, _) = alter(vec![edited(8, "1", &[])]);
        assert_eq!((answers[0].2, asked), (invalid, 0));
        assert_eq!(alter(vec![]).0, []);
    }
    broker.mood = Mood::Silent;
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![edited(2, "a", &[]), edited(9, "", &[])]);
    let codes: Vec<i16> = broker.call(1, &request).responses.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [code(ErrorCode::RequestTimedOut), code(ErrorCode::InvalidRequest)]);
}
