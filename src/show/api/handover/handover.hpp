#pragma once
// What one shift leaves to the next: each version is kept, the newest is shown. Life: values. Thread rules: as the Reader's.
#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

struct HandoverNote {
  std::string text, by;
  std::optional<std::string> by_name;
  std::string at;
  std::int64_t version = 0;
};
BOOST_DESCRIBE_STRUCT(HandoverNote, (), (text, by, by_name, at, version))

/// Empty: nobody wrote one yet.
Result<std::optional<HandoverNote>> newest_handover(store::Reader& db);

}  // namespace bavn::show::api
