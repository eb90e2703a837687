#include "input/sources/microsoft365/page.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.hpp"

namespace bavn::input::microsoft365 {
namespace {

constexpr std::size_t kMaxPage = 64U << 20U;
constexpr std::size_t kMaxSaid = 400;

std::string cut(std::string_view s) {
  std::string out = repair_utf8(s.substr(0, kMaxSaid));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return out;
}

std::string one_line(std::string_view raw, std::string_view adds) {
  std::string out;
  const std::size_t brace = 1;  // raw is an object
  out.reserve(raw.size() + adds.size());
  out += '{';
  if (const auto inside = trim(raw.substr(brace)); !adds.empty())
    out += inside.starts_with('}') ? adds.substr(0, adds.size() - 1) : adds;
  if (raw.find_first_of("\r\n") == raw.npos) {
    out += raw.substr(brace);
    return out;
  }
  const std::size_t kept = out.size();
  out.resize(kept + raw.size() + simdjson::SIMDJSON_PADDING);
  std::size_t size = 0;
  // The text was parsed before: minify can only fail on what is no JSON.
  if (simdjson::minify(raw.data() + brace, raw.size() - brace, out.data() + kept, size) != simdjson::SUCCESS) size = 0;
  out.resize(kept + size);
  return out;
}

std::string text_of(simdjson::dom::element e) {
  std::string_view text;
  if (e.get(text) == simdjson::SUCCESS) return std::string(text);
  if (e.is_null()) return {};
  return simdjson::to_string(e);
}

std::string member(simdjson::dom::object object, std::string_view name) {
  simdjson::dom::element found;
  return object.at_key(name).get(found) == simdjson::SUCCESS ? text_of(found) : std::string();
}

}  // namespace

std::optional<std::string> web_page_title(std::string_view body) {
  const auto start = trim(body.substr(0, 256));
  if (!start.starts_with('<')) return std::nullopt;
  const auto head = body.substr(0, 4096);
  const std::string lower = to_lower(head);
  const auto from = lower.find("<title>");
  const auto to = lower.find("</title>");
  if (from == lower.npos || to == lower.npos || to < from) return "without a title";
  return cut(trim(head.substr(from + 7, to - from - 7)));
}

Result<Page> read_page(std::string_view body, const PageShape& shape) {
  if (const auto title = web_page_title(body))
    return fail(
        Code::bad_input,
        fmt::format("a web page came instead of data (\"{}\"): is a proxy or a sign-in page in between?", *title));
  if (body.size() > kMaxPage)
    return fail(Code::bad_input, fmt::format("a page of {} bytes is more than is read at once", body.size()));
  const simdjson::padded_string padded(body);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS)
    return fail(Code::bad_input, fmt::format("the page is cut or broken ({}), {} bytes came",
                                             simdjson::error_message(error), body.size()));

  Page page;
  simdjson::dom::array list;
  if (shape.list.empty()) {
    if (root.get(list) != simdjson::SUCCESS) return fail(Code::bad_input, "the answer is not a list");
  } else {
    simdjson::dom::object object;
    if (root.get(object) != simdjson::SUCCESS || object.at_key(shape.list).get(list) != simdjson::SUCCESS)
      return fail(Code::bad_input, fmt::format("the answer has no list \"{}\"", shape.list));
    page.next = member(object, "@odata.nextLink");
    std::uint64_t count = 0;
    if (object.at_key("@odata.count").get(count) == simdjson::SUCCESS) page.count = count;
  }

  // The same list once more, for the bytes as they came.
  simdjson::ondemand::parser again;
  simdjson::ondemand::document document;
  simdjson::ondemand::array raws;
  bool ok = again.iterate(padded).get(document) == simdjson::SUCCESS;
  if (ok) {
    ok = shape.list.empty() ? document.get_array().get(raws) == simdjson::SUCCESS
                            : document.find_field(shape.list).get_array().get(raws) == simdjson::SUCCESS;
  }
  if (!ok) return fail(Code::bad_input, "the page reads two ways");  // two lists of one name
  auto parsed = list.begin();
  for (auto value : raws) {
    if (parsed == list.end()) return fail(Code::bad_input, "the page reads two ways");
    std::string_view raw;
    if (simdjson::to_json_string(value.value()).get(raw) != simdjson::SUCCESS)
      return fail(Code::bad_input, "the page is broken inside a record");
    const simdjson::dom::element element = *parsed;
    ++parsed;
    simdjson::dom::object object;
    if (element.get(object) != simdjson::SUCCESS) {
      ++page.no_objects;
      continue;
    }
    Record record;
    record.line = one_line(raw, shape.adds);
    bool some = false;
    for (const auto name : shape.key) {
      const std::string part = member(object, name);
      some |= !part.empty();
      record.key += part;
      record.key += '\x1f';
    }
    if (!some) record.key = record.line;
    if (!shape.time.empty())
      if (const auto at = parse_time(member(object, shape.time))) record.at = *at;
    page.records.push_back(std::move(record));
  }
  return page;
}

ServiceError read_error(std::string_view body) {
  ServiceError out;
  if (body.size() > kMaxPage || web_page_title(body)) return out;
  const simdjson::padded_string padded(body);
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  if (parser.parse(padded).get(root) != simdjson::SUCCESS) return out;
  simdjson::dom::object inner;
  if (root.at_key("error").get(inner) == simdjson::SUCCESS) {  // Graph, Management Activity
    out.code = cut(member(inner, "code"));
    out.message = cut(member(inner, "message"));
  } else {  // OAuth: RFC 6749 section 5.2
    out.code = cut(member(root, "error"));
    out.message = cut(member(root, "error_description"));
    if (out.message.empty()) out.message = cut(member(root, "Message"));
  }
  return out;
}

std::optional<std::vector<std::pair<std::string, std::string>>> flat_members(std::string_view body) {
  if (body.size() > kMaxPage) return std::nullopt;
  const simdjson::padded_string padded(body);
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  if (parser.parse(padded).get(root) != simdjson::SUCCESS) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto field : root) out.emplace_back(std::string(field.key), text_of(field.value));
  return out;
}

}  // namespace bavn::input::microsoft365
