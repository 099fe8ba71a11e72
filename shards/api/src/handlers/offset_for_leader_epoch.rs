use crate::context::{Closed, Context, Reply, Started};
pub(crate) fn start(_: heddle_protocol::messages::OffsetForLeaderEpochRequest, _: &mut Context<'_>) -> Started {
    Started::Done(Reply::Close(Closed::NotServed))
}
