//! AlterClientQuotas (49), versions 0 and 1 (KIP-546): nobody is throttled here, so a quota is refused rather than
//! silently not kept. Removing quotas succeeds, as it does in Kafka when there are none.

use heddle_protocol::messages::alter_client_quotas_request::EntryData as Asked;
use heddle_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use heddle_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use heddle_protocol::{ErrorCode, text};

use crate::context::{Context, Started};

pub(crate) fn start(request: AlterClientQuotasRequest, cx: &mut Context<'_>) -> Started {
    let entries = request.entries.into_iter().map(altered);
    cx.done(&AlterClientQuotasResponse::default().with_entries(entries.collect()))
}

fn altered(asked: Asked) -> EntryData {
    let entity = asked.entity.iter().map(|entity| {
        let name = entity.entity_name.as_deref().map(text);
        EntityData::default().with_entity_type(text(&entity.entity_type)).with_entity_name(name)
    });
    let entry = EntryData::default().with_entity(entity.collect()).with_error_message(None);
    if asked.ops.iter().all(|op| op.remove) {
        return entry;
    }
    entry
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_error_message(Some(text("Client quotas are not supported by this broker.")))
}
