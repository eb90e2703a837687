#pragma once
// What puts act::Purge onto a node: Microsoft 365's Access as its way to mailboxes, the history's message trace as its way to find copies,
// notify as its way to ask the duty contact. The three know nothing of each other.
// Life: what is returned holds what it needs but the references given, which must outlive it. Thread rules: any thread.
#include <memory>
#include <string>
#include <vector>

#include "act/purge.hpp"
#include "base/runtime.hpp"
#include "input/sources/microsoft365/access.hpp"
#include "live/pipeline.hpp"
#include "notify/notify.hpp"

namespace bavn::app {

struct GraphTenant {
  std::shared_ptr<input::microsoft365::Access> access;
  std::vector<std::string> domains;  // empty: whichever mailbox no other tenant has
};
/// Answers with the status and code of Microsoft; status 0 when it was not reached or is not known to have been done.
act::Ask graph_ask(std::vector<GraphTenant> tenants);

/// Looks through the history for the Message-IDs in mail logs, reports by people, and forwards by recipients (same subject behind one of the
/// usual prefixes). Works on a queue of its own, one question at a time. The pipeline must outlive the runtime's queues.
act::Locate trace_locate(Runtime& runtime, live::Pipeline& pipeline);

act::AskDuty purge_question(notify::Notify& notify, MunicipalityId municipality, std::string municipality_name,
                            std::string zone);

}  // namespace bavn::app
