#pragma once
// One record of history by its reference: where it lay, its hash and its times, so that it is found again when the cold pass has moved it.
// Thread rules: plain functions, any thread.
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "event/scope.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"
#include "store/state.hpp"

namespace bavn::show::api {

struct RecordRef {
  std::uint32_t segment = 0, frame = 0, line = 0;  // line: in the frame, from 1
  std::uint64_t hash = 0;                          // of the line; 0: not known, the place is all there is
  std::int64_t happened_us = 0, received_us = 0;
  std::string text() const;
  static std::optional<RecordRef> parse(std::string_view text);
  friend bool operator==(const RecordRef&, const RecordRef&) = default;
};

struct OpenedLine {
  std::string line, context;
  history::FrameInfo frame;
  std::int64_t received_us = 0;
};
/// not_found: it was erased, is older than what is kept, or belongs to a municipality that the scope does not see.
Result<OpenedLine> open_line(const history::History& history, const event::Scope& scope, const RecordRef& ref);

/// Who looked at whose records is in the audit log before anything is shown. what: record, alert, hunt.
Result<void> note_opened(store::State& state, std::string_view who, std::string_view what, std::string_view subject);

/// The attribute of OCSF that a field of this name (and role) is in a record of this class; empty: none that is known.
std::string_view ocsf_attribute(std::string_view ocsf_class, std::string_view field, event::Role role);

}  // namespace bavn::show::api
