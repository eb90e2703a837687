#include "live/gateways/bulk_body.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::live {

namespace {

Error malformed(std::size_t line, std::string_view what) {
  return {Code::bad_input, fmt::format("Malformed action/metadata line [{}], {}", line, what), {}};
}

class ActionReader {
 public:
  ActionReader(BulkBody& body, const BulkLimits& limits) : body_(body), limits_(limits) {}

  Result<BulkItem> read(std::string_view line, std::size_t number, std::uint32_t index_of_path) {
    if (line == last_line_) return last_;  // most shippers repeat themselves
    if (line.size() > limits_.action_bytes)
      return std::unexpected(malformed(number, fmt::format("it has {} bytes", line.size())));
    simdjson::dom::element root;
    if (parser_.parse(line.data(), line.size()).get(root) != simdjson::SUCCESS)
      return std::unexpected(malformed(number, "it is not JSON"));
    simdjson::dom::object outer, meta;
    if (root.get(outer) != simdjson::SUCCESS)
      return std::unexpected(malformed(number, "expected START_OBJECT but found something else"));
    if (outer.size() != 1) return std::unexpected(malformed(number, "expected one action with its metadata"));
    const auto action = *outer.begin();
    BulkItem item;
    item.index = index_of_path;
    if (action.key == "create") item.action = BulkAction::create;
    else if (action.key == "index") item.action = BulkAction::index;
    else if (action.key == "update") item.action = BulkAction::update;
    else if (action.key == "delete") item.action = BulkAction::del;
    else
      return std::unexpected(
          malformed(number, fmt::format("expected field [create], [delete], [index] or [update] but found [{}]",
                                        repair_utf8(action.key.substr(0, 100)))));
    if (action.value.get(meta) != simdjson::SUCCESS)
      return std::unexpected(malformed(number, "expected START_OBJECT as the action's metadata"));
    for (const auto member : meta) {
      const bool id = member.key == "_id", index = member.key == "_index";
      if (!id && !index) continue;  // routing, pipeline, version: nothing of that exists here
      std::string_view text;
      std::string number_text;
      if (member.value.is_null()) continue;
      if (member.value.get(text) != simdjson::SUCCESS) {
        if (!id || (!member.value.is_int64() && !member.value.is_uint64()))
          return std::unexpected(malformed(number, fmt::format("[{}] is no text", member.key)));
        number_text = simdjson::minify(member.value);
        text = number_text;
      }
      if (text.empty()) {
        if (id) item.fault = "if _id is specified it must not be empty";
        continue;
      }
      if (text.size() > (id ? limits_.id_bytes : limits_.index_bytes)) {
        item.fault = id ? "id is too long, must be no longer than 512 bytes" : "index name is too long, (255 bytes)";
        continue;
      }
      (id ? item.name : item.index) = keep(text, id);
    }
    if (item.action == BulkAction::update || item.action == BulkAction::del)
      item.fault = "records are kept as they came: they are created here, not updated or deleted";
    last_line_ = line;
    last_ = item;
    return item;
  }

  std::uint32_t keep(std::string_view text, bool id) {
    std::string json;
    append_json_string(json, text);
    if (!id) {  // few, and each of them again and again
      const auto known = std::find(indexes_.begin(), indexes_.end(), json);
      if (known != indexes_.end()) return places_[static_cast<std::size_t>(known - indexes_.begin())];
    }
    body_.texts.push_back(json);
    const auto place = static_cast<std::uint32_t>(body_.texts.size() - 1);
    if (!id && indexes_.size() < 32) {
      indexes_.push_back(std::move(json));
      places_.push_back(place);
    }
    return place;
  }

 private:
  BulkBody& body_;
  const BulkLimits& limits_;
  simdjson::dom::parser parser_;
  std::string_view last_line_;
  BulkItem last_;
  std::vector<std::string> indexes_;
  std::vector<std::uint32_t> places_;
};

}  // namespace

std::string_view to_string(BulkAction a) {
  switch (a) {
    case BulkAction::create: return "create";
    case BulkAction::index: return "index";
    case BulkAction::update: return "update";
    case BulkAction::del: return "delete";
  }
  return "create";
}

Result<BulkBody> read_bulk(std::string_view body, std::string_view index, const BulkLimits& limits) {
  if (trim(body).empty()) return fail(Code::bad_input, "request body is required");
  if (body.back() != '\n') return fail(Code::bad_input, "The bulk request must be terminated by a newline [\\n]");
  BulkBody out;
  out.texts.emplace_back();
  ActionReader actions(out, limits);
  const std::uint32_t of_path = index.empty() ? 0 : actions.keep(index.substr(0, limits.index_bytes), false);
  std::size_t number = 0;
  const auto next_line = [&] {
    const std::size_t end = body.find('\n');
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(end + 1);
    ++number;
    return trim(line);
  };
  while (!body.empty()) {
    const std::string_view line = next_line();
    if (line.empty()) continue;  // Elastic passes over them, too
    BAVN_TRY(BulkItem item, actions.read(line, number, of_path));
    if (item.action != BulkAction::del) {
      if (body.empty())
        return fail(Code::bad_input,
                    fmt::format("Malformed content, found extra data after parsing: the action of line "
                                "[{}] has no document",
                                number));
      item.document = next_line();
      if (item.fault == nullptr &&
          (item.document.size() < 2 || item.document.front() != '{' || item.document.back() != '}'))
        item.fault = "failed to parse: the document is no JSON object on one line";
    }
    out.items.push_back(item);
    if (out.items.size() > limits.items)
      return fail(Code::bad_input, fmt::format("more than {} items in one request; send fewer at a time", limits.items),
                  "413");
  }
  return out;
}

}  // namespace bavn::live
