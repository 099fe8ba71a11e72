//! Seeds that must hold, and lies that must not.

use crate::{Lie, Plan, run_twice, run_with};

/// Seeds of an ordinary test run, the same ones each time, so that it says the same of the same code; `scripts/sim` finds.
const SEEDS: u64 = if cfg!(debug_assertions) { 36 } else { 200 };

#[test]
fn seeds_hold() {
    let failures: Vec<String> = (0..SEEDS).filter_map(|seed| run_twice(seed).report()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn different_seeds_do_different_things() {
    let of = |seed| run_with(Plan::of(seed), None, None, false).trace;
    assert_ne!(of(1), of(2));
}

/// The checker finds the lie in one of these seeds, if it is the only one that is asked.
fn trips(lie: Lie, checker: &str) {
    let found = (0..160).flat_map(|seed| [Plan::of(seed), Plan::without_members(seed)]).find(|plan| {
        let outcome = run_with(plan.clone(), Some(lie), Some(checker), false);
        outcome.found.is_some_and(|found| found.checker == checker)
    });
    assert!(found.is_some(), "{lie:?} does not trip {checker}");
}

macro_rules! planted {
    ($($name:ident: $lie:ident trips $checker:literal;)*) => {
        $(#[test]
        fn $name() {
            trips(Lie::$lie, $checker);
        })*

        #[test]
        fn every_checker_and_every_lie_is_planted() {
            let checkers = [$($checker),*];
            let lies = [$(Lie::$lie),*];
            // Planted in `want.rs`, under plans of its own.
            let (checkers, lies) = ([&checkers[..], &["removed-though-full"]].concat(), [&lies[..], &[Lie::FullForAll]].concat());
            for checker in crate::CHECKERS {
                assert!(checkers.contains(checker), "{checker} was never seen failing");
            }
            for lie in Lie::ALL {
                assert!(lies.contains(lie), "{lie:?} trips nobody");
            }
        }
    };
}

planted! {
    early_durable_loses_acknowledged: EarlyDurable trips "acknowledged-present";
    early_durable_is_seen_and_gone: EarlyDurable trips "durable-before-seen";
    not_flushed_loses_acknowledged: NotFlushed trips "acknowledged-present";
    rolled_back_watermark: RolledBack trips "watermark-forward";
    rolled_back_topics: RolledBack trips "topics-kept";
    rolled_back_groups: RolledBack trips "group-offsets-forward";
    rolled_back_reads: RolledBack trips "reads-stable";
    rolled_back_positions: RolledBack trips "positions-stay-valid";
    answered_twice: AnsweredTwice trips "answered-once";
    answer_lost: AnswerLost trips "answered-once";
    answers_swapped: AnswersSwapped trips "answered-once";
    batch_missing: BatchMissing trips "dense";
    retry_unmarked: RetryUnmarked trips "none-twice";
    retry_unmarked_order: RetryUnmarked trips "producer-order";
    low_watermark: LowWatermark trips "watermark-forward";
    files_removed: FilesRemoved trips "files-kept";
    bytes_changed: BytesChanged trips "acknowledged-present";
    bytes_changed_reads: BytesChanged trips "reads-stable";
    mail_lost: MailLost trips "no-stall";
    offers_late_lose_acknowledged: OffersLate trips "acknowledged-present";
    cancels_early: CancelsEarly trips "slots-returned";
    move_forgetful: MoveForgetful trips "answered-once";
    generations_forgotten: GenerationsForgotten trips "no-panic";
    work_within_turns: WorkWithinTurns trips "unpacked-between-turns";
    epoch_reused: EpochReused trips "one-life-per-epoch";
    start_moved: StartMoved trips "log-start-as-asked";
    rolled_back_commits: RolledBack trips "committed-offsets-kept";
    zero_for_nothing: ZeroForNothing trips "committed-offsets-kept";
    assignment_crossed: AssignmentCrossed trips "generation-disjoint";
    assignment_crossed_modern: AssignmentCrossed trips "one-owner";
    rebalance_untold: RebalanceUntold trips "one-owner";
    expired_early: ExpiredEarly trips "offsets-expire";
    offsets_outlive: OffsetsOutlive trips "offsets-go-with-topics";
    clock_stopped: ClockStopped trips "offsets-expire";
    expression_cut: ExpressionCut trips "expressions-matched";
    two_leaders: TwoLeaders trips "generation-disjoint";
    id_given_twice: IdGivenTwice trips "producer-ids-once";
    fence_forgotten: FenceForgotten trips "zombies-fenced";
    state_differs: StateDiffers trips "live-equals-replayed";
    state_differs_targets: StateDiffers trips "targets-whole";
    tombstone_dropped: TombstoneDropped trips "live-equals-replayed";
    tombstone_dropped_returns: TombstoneDropped trips "dead-stay-dead";
    record_missing: RecordMissing trips "latest-kept";
    copy_not_synced: CopyNotSynced trips "sound-answers";
    seal_not_flushed: SealNotFlushed trips "sound-answers";
    nothing_compacted: NothingCompacted trips "one-per-key";
    nothing_compacted_tombstones: NothingCompacted trips "tombstones-in-time";
    tombstone_dropped_early: TombstoneDropped trips "tombstones-in-time";
    last_batch_dropped: LastBatchDropped trips "last-batches-kept";
}
