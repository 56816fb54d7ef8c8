//! Producers that number their batches (KIP-98).

use crate::apis::transactions;
use crate::call::Call;
use crate::errors;
use crate::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub async fn init(call: &Call, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let failed = |error_code| InitProducerIdResponse {
        error_code,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    if let Some(id) = request.transactional_id.clone() {
        return transactions::init(call, id, &request).await;
    }
    let producer = call.batches().and_then(|batches| batches.new_producer(&call.who));
    match producer {
        Ok(producer) => InitProducerIdResponse {
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            ..InitProducerIdResponse::default()
        },
        Err(refusal) => failed(match errors::of_group(&refusal) {
            errors::GROUP_AUTHORIZATION_FAILED => errors::CLUSTER_AUTHORIZATION_FAILED,
            other => other,
        }),
    }
}
