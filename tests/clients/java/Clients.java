import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * What programs do with the Java clients that the command line tools do not. Argument: HOST:PORT. Prints one line for
 * each story, "ok NAME" or "failed NAME: why", and ends with 1 if any failed.
 */
public class Clients {
    private interface Story {
        void tell() throws Exception;
    }

    private static String address;
    private static Admin admin;
    private static int names;

    public static void main(String[] arguments) {
        address = arguments[0];
        admin = Admin.create(Map.of("bootstrap.servers", address));
        Map<String, Story> stories = new TreeMap<>();
        stories.put("topics by name and id", Clients::topics);
        stories.put("only validated", Clients::validated);
        stories.put("configs appended and subtracted", Clients::configs);
        stories.put("records keep key, headers and time", Clients::records);
        stories.put("time of append", Clients::appendTime);
        stories.put("records that are refused", Clients::refusedRecords);
        stories.put("an idempotent producer in order", Clients::idempotent);
        stories.put("offsets by time", Clients::offsetsByTime);
        stories.put("reading from anywhere", Clients::seeking);
        stories.put("records larger than a fetch", Clients::largeRecords);
        stories.put("deleted records", Clients::deletedRecords);
        stories.put("two members share, classic", () -> twoMembers("classic"));
        stories.put("two members share, consumer", () -> twoMembers("consumer"));
        stories.put("static member", Clients::staticMember);
        stories.put("committed offsets of a group", Clients::groupOffsets);
        stories.put("a pattern finds new topics, classic", () -> pattern("classic"));
        stories.put("a pattern finds new topics, consumer", () -> pattern("consumer"));
        stories.put("no transactions", Clients::transactions);
        int failed = 0;
        for (Map.Entry<String, Story> story : stories.entrySet()) {
            long began = System.nanoTime();
            try {
                story.getValue().tell();
                System.out.printf("ok %s (%d ms)%n", story.getKey(), (System.nanoTime() - began) / 1_000_000);
            } catch (Throwable why) {
                failed++;
                System.out.printf("failed %s: %s%n", story.getKey(), why);
                why.printStackTrace(System.out);
            }
        }
        admin.close(Duration.ofSeconds(2));
        System.exit(failed == 0 ? 0 : 1);
    }

    // What the stories stand on.

    private static void same(Object expected, Object found) {
        if (!expected.equals(found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    private static <E extends Throwable> E fails(Class<E> kind, Story story) throws Exception {
        try {
            story.tell();
        } catch (Throwable thrown) {
            Throwable why = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            if (kind.isInstance(why)) {
                return kind.cast(why);
            }
            throw new AssertionError("expected " + kind.getSimpleName() + ", found " + why, why);
        }
        throw new AssertionError("expected " + kind.getSimpleName() + ", but it went well");
    }

    private static String name() {
        return "java-" + System.nanoTime() + "-" + names++;
    }

    private static String topic(int partitions, String... configs) throws Exception {
        Map<String, String> pairs = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2) {
            pairs.put(configs[i], configs[i + 1]);
        }
        String name = name();
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(pairs))).all().get();
        return name;
    }

    private static Map<String, Object> with(String... pairs) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", address));
        for (int i = 0; i < pairs.length; i += 2) {
            all.put(pairs[i], pairs[i + 1]);
        }
        return all;
    }

    private static KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(with(pairs), new StringSerializer(), new StringSerializer());
    }

    private static KafkaConsumer<String, String> consumer(String... pairs) {
        Map<String, Object> all = with(pairs);
        all.putIfAbsent("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(all, new StringDeserializer(), new StringDeserializer());
    }

    private static void produce(String topic, int count) throws Exception {
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(topic, "k" + i, "v" + i));
            }
        }
    }

    private static List<ConsumerRecord<String, String>> poll(KafkaConsumer<String, String> consumer, int count) {
        List<ConsumerRecord<String, String>> found = new ArrayList<>();
        long end = System.nanoTime() + 10_000_000_000L;
        while (found.size() < count && System.nanoTime() < end) {
            consumer.poll(Duration.ofMillis(100)).forEach(found::add);
        }
        same(count, found.size());
        return found;
    }

    // The stories.

    private static void topics() throws Exception {
        String name = name();
        CreateTopicsResult created = admin.createTopics(List.of(new NewTopic(name, Optional.of(3), Optional.empty())));
        same(3, created.numPartitions(name).get());
        same(1, created.replicationFactor(name).get());
        same("604800000", created.config(name).get().get("retention.ms").value());
        var id = created.topicId(name).get();
        same(name, admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).topicIdValues().get(id).get().name());
        admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get();
        same(5, admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size());
        fails(InvalidPartitionsException.class,
            () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(5))).all().get());
        fails(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get());
        admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
        fails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(name)).all().get());
        fails(UnknownTopicIdException.class,
            () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
        same(1, admin.describeCluster().nodes().get().size());
        same(1, admin.describeCluster().controller().get().id());
    }

    private static void validated() throws Exception {
        String name = name();
        CreateTopicsOptions only = new CreateTopicsOptions().validateOnly(true);
        admin.createTopics(List.of(new NewTopic(name, 2, (short) 1)), only).all().get();
        same(false, admin.listTopics().names().get().contains(name));
        NewTopic wrong = new NewTopic(name, 2, (short) 1).configs(Map.of("cleanup.policy", "shred"));
        fails(InvalidConfigurationException.class, () -> admin.createTopics(List.of(wrong), only).all().get());
        NewTopic gap = new NewTopic(name, Map.of(0, List.of(1), 2, List.of(1)));
        fails(InvalidReplicaAssignmentException.class, () -> admin.createTopics(List.of(gap), only).all().get());
    }

    private static void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, topic(1));
        String[] steps = {"APPEND compact", "SUBTRACT delete", "SET delete", "DELETE "};
        String[] expected = {"delete,compact", "compact", "delete", "delete"};
        for (int i = 0; i < steps.length; i++) {
            String[] step = steps[i].split(" ", 2);
            ConfigEntry entry = new ConfigEntry("cleanup.policy", step[1]);
            AlterConfigOp op = new AlterConfigOp(entry, AlterConfigOp.OpType.valueOf(step[0]));
            admin.incrementalAlterConfigs(Map.of(topic, List.of(op))).all().get();
            ConfigEntry found = admin.describeConfigs(List.of(topic)).all().get().get(topic).get("cleanup.policy");
            same(expected[i], found.value());
            same(i == 3 ? ConfigEntry.ConfigSource.DEFAULT_CONFIG : ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG,
                found.source());
        }
        ConfigEntry number = new ConfigEntry("retention.ms", "1");
        AlterConfigOp append = new AlterConfigOp(number, AlterConfigOp.OpType.APPEND);
        fails(InvalidConfigurationException.class,
            () -> admin.incrementalAlterConfigs(Map.of(topic, List.of(append))).all().get());
    }

    private static void records() throws Exception {
        // Records of 1970 here and in offsetsByTime: retention may come by at any moment.
        String topic = topic(2, "retention.ms", "-1");
        byte[] bytes = "h".getBytes(StandardCharsets.UTF_8);
        try (KafkaProducer<String, String> producer = producer()) {
            same(2, producer.partitionsFor(topic).size());
            RecordMetadata first = producer.send(
                new ProducerRecord<>(topic, 1, 12345L, "k", "v", List.of(new RecordHeader("a", bytes)))).get();
            same("0 1 12345", first.offset() + " " + first.partition() + " " + first.timestamp());
            producer.send(new ProducerRecord<>(topic, 1, null, null)).get();
        }
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 1)));
            List<ConsumerRecord<String, String>> found = poll(consumer, 2);
            ConsumerRecord<String, String> record = found.get(0);
            same("k v 12345 CreateTime", record.key() + " " + record.value() + " " + record.timestamp() + " "
                + record.timestampType());
            same(true, Arrays.equals(bytes, record.headers().lastHeader("a").value()));
            same(true, found.get(1).key() == null && found.get(1).value() == null);
        }
    }

    private static void appendTime() throws Exception {
        String topic = topic(1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        try (KafkaProducer<String, String> producer = producer("compression.type", "lz4")) {
            long told = producer.send(new ProducerRecord<>(topic, 0, 5L, "k", "v")).get().timestamp();
            same(true, told >= before - 1000 && told <= System.currentTimeMillis() + 1000);
        }
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            ConsumerRecord<String, String> record = poll(consumer, 1).get(0);
            same(TimestampType.LOG_APPEND_TIME, record.timestampType());
            same(true, record.timestamp() >= before - 1000);
        }
    }

    private static void refusedRecords() throws Exception {
        String compacted = topic(1, "cleanup.policy", "compact");
        String small = topic(1, "max.message.bytes", "1000");
        String strict = topic(1, "message.timestamp.before.max.ms", "1000");
        try (KafkaProducer<String, String> producer = producer("linger.ms", "50", "max.block.ms", "3000")) {
            Future<RecordMetadata> wrong = producer.send(new ProducerRecord<>(compacted, null, "no key"));
            fails(InvalidRecordException.class, wrong::get);
            producer.send(new ProducerRecord<>(compacted, "key", "v")).get();
            Future<RecordMetadata> large = producer.send(new ProducerRecord<>(small, "k", "x".repeat(2000)));
            fails(RecordTooLargeException.class, large::get);
            // A batch of many small records is split by the producer until it fits.
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < 50; i++) {
                sent.add(producer.send(new ProducerRecord<>(small, "k", "x".repeat(100))));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
            Future<RecordMetadata> old = producer.send(new ProducerRecord<>(strict, 0, 5L, "k", "v"));
            fails(InvalidTimestampException.class, old::get);
            fails(TimeoutException.class, () -> producer.send(new ProducerRecord<>(strict, 7, "k", "v")).get());
            fails(InvalidTopicException.class, () -> producer.send(new ProducerRecord<>("bad/name", "v")).get());
        }
        same(50L, end(small));
    }

    private static long end(String topic) throws Exception {
        TopicPartition first = new TopicPartition(topic, 0);
        return admin.listOffsets(Map.of(first, OffsetSpec.latest())).partitionResult(first).get().offset();
    }

    private static void idempotent() throws Exception {
        String topic = topic(1);
        int count = 5000;
        try (KafkaProducer<String, String> producer = producer("linger.ms", "0", "batch.size", "500")) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, "" + i)));
            }
            for (int i = 0; i < count; i++) {
                same((long) i, sent.get(i).get().offset());
            }
        }
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            int next = 0;
            for (ConsumerRecord<String, String> record : poll(consumer, count)) {
                same("" + next++, record.value());
            }
        }
    }

    private static void offsetsByTime() throws Exception {
        String topic = topic(1, "retention.ms", "-1");
        TopicPartition first = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = producer("compression.type", "gzip", "linger.ms", "50")) {
            for (long time : new long[] {1000, 3000, 2000, 5000}) {
                producer.send(new ProducerRecord<>(topic, 0, time, "k", "v"));
            }
        }
        try (KafkaConsumer<String, String> consumer = consumer()) {
            long[][] cases = {{0, 0, 1000}, {1000, 0, 1000}, {1001, 1, 3000}, {3001, 3, 5000}};
            for (long[] one : cases) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(first, one[0])).get(first);
                same(one[1] + " at " + one[2], found.offset() + " at " + found.timestamp());
            }
            same(true, consumer.offsetsForTimes(Map.of(first, 5001L)).get(first) == null);
            same(0L, consumer.beginningOffsets(List.of(first)).get(first));
            same(4L, consumer.endOffsets(List.of(first)).get(first));
        }
        var largest = admin.listOffsets(Map.of(first, OffsetSpec.maxTimestamp())).partitionResult(first).get();
        same("3 at 5000", largest.offset() + " at " + largest.timestamp());
    }

    private static void seeking() throws Exception {
        String topic = topic(1);
        produce(topic, 10);
        TopicPartition first = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = consumer("auto.offset.reset", "none", "max.poll.records", "3")) {
            consumer.assign(List.of(first));
            consumer.seek(first, 4);
            same("v4", poll(consumer, 3).get(0).value());
            consumer.seekToBeginning(List.of(first));
            same("v0", poll(consumer, 3).get(0).value());
            consumer.pause(List.of(first));
            same(0, consumer.poll(Duration.ofMillis(200)).count());
            consumer.resume(List.of(first));
            same("v3", poll(consumer, 3).get(0).value());
            consumer.seekToEnd(List.of(first));
            same(10L, consumer.position(first));
            consumer.seek(first, 99);
            fails(OffsetOutOfRangeException.class, () -> {
                for (int i = 0; i < 50; i++) {
                    consumer.poll(Duration.ofMillis(100));
                }
            });
        }
    }

    private static void largeRecords() throws Exception {
        String topic = topic(1);
        try (KafkaProducer<String, String> producer = producer("max.request.size", "2000000")) {
            for (int i = 0; i < 5; i++) {
                producer.send(new ProducerRecord<>(topic, "x".repeat(900_000 + i))).get();
            }
        }
        String[] small = {"max.partition.fetch.bytes", "1000", "fetch.max.bytes", "2000"};
        try (KafkaConsumer<String, String> consumer = consumer(small)) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            same(900_004, poll(consumer, 5).get(4).value().length());
        }
    }

    private static void deletedRecords() throws Exception {
        String topic = topic(1);
        produce(topic, 10);
        TopicPartition first = new TopicPartition(topic, 0);
        same(6L, admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(6))).lowWatermarks().get(first).get()
            .lowWatermark());
        fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
            () -> admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(11))).all().get());
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(List.of(first));
            consumer.seek(first, 2);
            // What is gone is skipped by `auto.offset.reset`.
            same(6L, poll(consumer, 4).get(0).offset());
        }
        TopicPartition compacted = new TopicPartition(topic(1, "cleanup.policy", "compact"), 0);
        fails(PolicyViolationException.class,
            () -> admin.deleteRecords(Map.of(compacted, RecordsToDelete.beforeOffset(0))).all().get());
    }

    private static void twoMembers(String protocol) throws Exception {
        String topic = topic(4);
        String group = name();
        String[] settings = {"group.id", group, "group.protocol", protocol, "enable.auto.commit", "false"};
        KafkaConsumer<String, String> one = consumer(settings);
        KafkaConsumer<String, String> two = consumer(settings);
        one.subscribe(List.of(topic));
        two.subscribe(List.of(topic));
        until(() -> {
            one.poll(Duration.ofMillis(50));
            two.poll(Duration.ofMillis(50));
            return one.assignment().size() == 2 && two.assignment().size() == 2;
        });
        Set<TopicPartition> all = new java.util.HashSet<>(one.assignment());
        all.addAll(two.assignment());
        same(4, all.size());
        ConsumerGroupDescription described = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        same("Stable 2", described.groupState() + " " + described.members().size());
        fails(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        fails(GroupSubscribedToTopicException.class, () -> admin.deleteConsumerGroupOffsets(group,
            Set.of(new TopicPartition(topic, 0))).all().get());
        produce(topic, 100);
        int[] seen = {0};
        until(() -> {
            seen[0] += one.poll(Duration.ofMillis(50)).count() + two.poll(Duration.ofMillis(50)).count();
            return seen[0] == 100;
        });
        one.commitSync();
        two.commitSync();
        two.close();
        until(() -> {
            one.poll(Duration.ofMillis(50));
            return one.assignment().size() == 4;
        });
        long committed = one.committed(one.assignment()).values().stream().mapToLong(OffsetAndMetadata::offset).sum();
        same(100L, committed);
        one.close();
        admin.deleteConsumerGroups(List.of(group)).all().get();
    }

    private static void staticMember() throws Exception {
        String topic = topic(2);
        String group = name();
        String[] settings = {"group.id", group, "group.instance.id", "first", "group.protocol", "classic"};
        Set<TopicPartition> had;
        try (KafkaConsumer<String, String> one = consumer(settings)) {
            one.subscribe(List.of(topic));
            until(() -> !one.poll(Duration.ofMillis(50)).isEmpty() || one.assignment().size() == 2);
            had = one.assignment();
        }
        var member = admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().iterator().next();
        same("first", member.groupInstanceId().get());
        try (KafkaConsumer<String, String> again = consumer(settings)) {
            again.subscribe(List.of(topic));
            until(() -> {
                again.poll(Duration.ofMillis(50));
                return again.assignment().equals(had);
            });
        }
        admin.removeMembersFromConsumerGroup(group,
            new RemoveMembersFromConsumerGroupOptions(List.of(new MemberToRemove("first")))).all().get();
        same(0, admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().size());
    }

    private static void groupOffsets() throws Exception {
        String topic = topic(2);
        String group = name();
        TopicPartition first = new TopicPartition(topic, 0);
        TopicPartition second = new TopicPartition(topic, 1);
        produce(topic, 10);
        admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(3, "note"))).all().get();
        Map<TopicPartition, OffsetAndMetadata> found =
            admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
        same("3 note", found.get(first).offset() + " " + found.get(first).metadata());
        same(false, found.containsKey(second));
        try (KafkaConsumer<String, String> consumer = consumer("group.id", group)) {
            consumer.assign(List.of(first, second));
            same(3L, consumer.position(first));
            same(0L, consumer.position(second));
            consumer.commitSync(Map.of(second, new OffsetAndMetadata(1)));
            same(1L, consumer.committed(Set.of(second)).get(second).offset());
            fails(OffsetMetadataTooLarge.class,
                () -> consumer.commitSync(Map.of(first, new OffsetAndMetadata(1, "x".repeat(5000)))));
        }
        admin.deleteConsumerGroupOffsets(group, Set.of(first)).all().get();
        same(Set.of(second), admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().keySet());
        admin.deleteConsumerGroups(List.of(group)).all().get();
        fails(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        fails(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(group)).all().get());
    }

    private static void pattern(String protocol) throws Exception {
        String prefix = name();
        admin.createTopics(List.of(new NewTopic(prefix + "-a", 1, (short) 1))).all().get();
        String[] settings = {"group.id", name(), "group.protocol", protocol, "metadata.max.age.ms", "500"};
        try (KafkaConsumer<String, String> consumer = consumer(settings)) {
            consumer.subscribe(java.util.regex.Pattern.compile(java.util.regex.Pattern.quote(prefix) + ".*"));
            for (String suffix : List.of("-a", "-b")) {
                String topic = prefix + suffix;
                if (!admin.listTopics().names().get().contains(topic)) {
                    admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
                }
                until(() -> {
                    consumer.poll(Duration.ofMillis(50));
                    return consumer.assignment().contains(new TopicPartition(topic, 0));
                });
            }
        }
    }

    private static void transactions() throws Exception {
        try (KafkaProducer<String, String> producer = producer("transactional.id", name())) {
            String said = fails(KafkaException.class, producer::initTransactions).getMessage();
            same(true, said.contains("Transactions are not served by this broker"));
        }
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void until(Condition condition) throws Exception {
        long end = System.nanoTime() + 20_000_000_000L;
        while (!condition.holds()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within 20 s");
            }
        }
    }
}
