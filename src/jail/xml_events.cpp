#include "jail/xml_events.hpp"

#include <expat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "base/utf16.hpp"

namespace bavn::jail {

namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 20'000;
constexpr std::size_t kMaxText = 4U << 20;
constexpr std::size_t kMaxRefused = 100;

/// One event as a tree in flat vectors, which are kept from event to event.
struct Tree {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Piece {
    std::uint32_t at = 0, size = 0;
  };
  struct Node {
    Piece name, text;
    std::uint32_t parent = kNone, first_child = kNone, last_child = kNone, next = kNone;
    std::uint32_t first_attribute = 0, attributes = 0;
  };
  struct Attribute {
    Piece name, value;
  };
  std::string bytes;  // what pieces point into; texts of a node may be interrupted by children, see text()
  std::vector<Node> nodes;
  std::vector<Attribute> attributes;

  void clear() {
    bytes.clear();
    nodes.clear();
    attributes.clear();
  }
  Piece keep(std::string_view s) {
    const Piece p{static_cast<std::uint32_t>(bytes.size()), static_cast<std::uint32_t>(s.size())};
    bytes += s;
    return p;
  }
  std::string_view view(Piece p) const { return std::string_view(bytes).substr(p.at, p.size); }
};

std::string_view local_name(const char* qualified) {
  const std::string_view s(qualified);
  const std::size_t colon = s.rfind(':');
  return colon == std::string_view::npos ? s : s.substr(colon + 1);
}

bool whole_number(std::string_view s) {
  if (s.empty() || s.size() > 18 || (s[0] == '0' && s.size() > 1)) return false;
  for (char c : s)
    if (c < '0' || c > '9') return false;
  return true;
}

class EventWriter {
 public:
  EventWriter(const Tree& tree, std::string& out) : tree_(tree), json_(out) {}

  void write() {
    json_.object().key("Event");
    element(0, false);
    json_.end();
  }

 private:
  void scalar(std::string_view s, bool numbers) {
    if (numbers && whole_number(s)) json_.raw(s);
    else json_.value(s);
  }

  void element(std::uint32_t i, bool numbers) {
    const Tree::Node& node = tree_.nodes[i];
    const std::string_view text = trim(tree_.view(node.text));
    if (node.attributes == 0 && node.first_child == Tree::kNone) {
      if (text.empty()) json_.null();
      else scalar(numbers ? text : tree_.view(node.text), numbers);
      return;
    }
    json_.object();
    if (node.attributes > 0) {
      json_.key("#attributes").object();
      for (std::uint32_t a = 0; a < node.attributes; ++a) {
        const auto& attribute = tree_.attributes[node.first_attribute + a];
        json_.key(tree_.view(attribute.name));
        scalar(tree_.view(attribute.value), numbers);
      }
      json_.end();
    }
    if (node.first_child == Tree::kNone) {
      if (!text.empty()) {
        json_.key("#text");
        scalar(text, numbers);
      }
    } else {
      children(node);
    }
    json_.end();
  }

  void children(const Tree::Node& node) {
    bool nameless_data = false;
    for (std::uint32_t c = node.first_child; c != Tree::kNone; c = tree_.nodes[c].next) {
      const Tree::Node& child = tree_.nodes[c];
      const std::string_view name = tree_.view(child.name);
      if (name == "Data") {
        if (const auto data_name = attribute(child, "Name")) {
          if (earlier(node, c, *data_name)) continue;
          json_.key(*data_name);
          if (child.first_child != Tree::kNone) children_of(child);
          else data(child);
        } else if (!nameless_data) {
          nameless_data = true;
          json_.key("Data").object().key("#text");
          all_nameless(c);
          json_.end();
        }
        continue;
      }
      if (earlier(node, c, name)) continue;
      json_.key(name);
      element(c, tree_.view(node.name) == "System" && name != "Computer" && name != "Channel");
    }
  }
  void children_of(const Tree::Node& node) {
    json_.object();
    children(node);
    json_.end();
  }

  void data(const Tree::Node& node) {
    const std::string_view text = tree_.view(node.text);
    if (trim(text).empty()) json_.value("");
    else json_.value(text);
  }

  void all_nameless(std::uint32_t first) {
    const auto next_nameless = [&](std::uint32_t c) {
      while (c != Tree::kNone && (tree_.view(tree_.nodes[c].name) != "Data" || attribute(tree_.nodes[c], "Name")))
        c = tree_.nodes[c].next;
      return c;
    };
    const std::uint32_t second = next_nameless(tree_.nodes[first].next);
    if (second == Tree::kNone) {
      data(tree_.nodes[first]);
      return;
    }
    json_.array();
    for (std::uint32_t c = first; c != Tree::kNone; c = next_nameless(tree_.nodes[c].next)) data(tree_.nodes[c]);
    json_.end();
  }

  std::optional<std::string_view> attribute(const Tree::Node& node, std::string_view name) const {
    for (std::uint32_t a = 0; a < node.attributes; ++a) {
      const auto& attribute = tree_.attributes[node.first_attribute + a];
      if (tree_.view(attribute.name) == name) return tree_.view(attribute.value);
    }
    return std::nullopt;
  }

  // Keys stay unique: of equal names the first counts. Looks back at no more than 64 brothers, more have no real event.
  bool earlier(const Tree::Node& parent, std::uint32_t child, std::string_view key) const {
    int looked = 0;
    for (std::uint32_t c = parent.first_child; c != child && looked < 64; c = tree_.nodes[c].next, ++looked) {
      const auto name = tree_.view(tree_.nodes[c].name) == "Data" ? attribute(tree_.nodes[c], "Name").value_or("Data")
                                                                  : tree_.view(tree_.nodes[c].name);
      if (name == key) return true;
    }
    return false;
  }

  const Tree& tree_;
  JsonWriter json_;
};

/// Everything one pass of expat needs; its callbacks are static members.
class Pass {
 public:
  explicit Pass(std::string& out) : out_(out), parser_(XML_ParserCreate("UTF-8"), XML_ParserFree) {
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(parser_.get(), start, end);
    XML_SetCharacterDataHandler(parser_.get(), text);
  }

  /// Reads from `at`; returns where reading should go on, or npos when the end was reached. `reason` is set with it.
  std::size_t read(std::string_view xml, std::size_t at, std::string& reason, std::size_t& events) {
    XML_ParserReset(parser_.get(), "UTF-8");
    XML_SetUserData(parser_.get(), this);
    XML_SetElementHandler(parser_.get(), start, end);
    XML_SetCharacterDataHandler(parser_.get(), text);
    depth_ = 0;
    in_event_ = false;
    limit_.clear();
    events_ = 0;
    // A root of ours around everything: events in a row are no document otherwise, and a document type cannot occur in it.
    constexpr std::string_view open = "<r>", close = "</r>";
    bool good = XML_Parse(parser_.get(), open.data(), static_cast<int>(open.size()), 0) == XML_STATUS_OK;
    good = good && XML_Parse(parser_.get(), xml.data() + at, static_cast<int>(xml.size() - at), 0) == XML_STATUS_OK;
    good = good && XML_Parse(parser_.get(), close.data(), static_cast<int>(close.size()), 1) == XML_STATUS_OK;
    events += events_;
    if (good) return std::string_view::npos;
    const auto fault_in_pass = static_cast<std::size_t>(std::max<XML_Index>(XML_GetCurrentByteIndex(parser_.get()), 0));
    const std::size_t fault = std::min(xml.size(), at + fault_in_pass - std::min(fault_in_pass, open.size()));
    if (!limit_.empty()) reason = limit_;
    else if (xml.substr(fault - std::min<std::size_t>(fault, 2)).starts_with("<!DOCTYPE"))
      reason = "a document type; they are refused, with every entity they declare";
    else if (fault >= xml.size() && in_event_) reason = "cut in the middle of an event";
    else reason = XML_ErrorString(XML_GetErrorCode(parser_.get()));
    fault_ = fault;
    return next_event(xml, std::max(fault, at + 1));
  }
  std::size_t fault() const { return fault_; }

  static std::size_t next_event(std::string_view xml, std::size_t from) {
    for (std::size_t at = xml.find("<Event", from); at != std::string_view::npos; at = xml.find("<Event", at + 1)) {
      const char after = at + 6 < xml.size() ? xml[at + 6] : ' ';
      if (after == ' ' || after == '>' || after == '\n' || after == '\r' || after == '\t') return at;
    }
    return std::string_view::npos;
  }

 private:
  void stop(const char* why) {
    limit_ = why;
    XML_StopParser(parser_.get(), XML_FALSE);
  }

  static void XMLCALL start(void* self, const XML_Char* name, const XML_Char** attributes) {
    static_cast<Pass*>(self)->on_start(name, attributes);
  }
  static void XMLCALL end(void* self, const XML_Char*) { static_cast<Pass*>(self)->on_end(); }
  static void XMLCALL text(void* self, const XML_Char* s, int n) {
    static_cast<Pass*>(self)->on_text({s, static_cast<std::size_t>(n)});
  }

  void on_start(const XML_Char* name, const XML_Char** attributes) {
    ++depth_;
    if (depth_ > kMaxDepth) return stop("nested deeper than 32 elements");
    const std::string_view local = local_name(name);
    if (!in_event_) {
      if (local != "Event") return;
      in_event_ = true;
      event_depth_ = depth_;
      tree_.clear();
      current_ = Tree::kNone;
    }
    const auto index = static_cast<std::uint32_t>(tree_.nodes.size());
    if (tree_.nodes.size() + tree_.attributes.size() > kMaxNodes)
      return stop("more than 20,000 elements and attributes in one event");
    Tree::Node node;
    node.name = tree_.keep(local);
    node.parent = current_;
    node.first_attribute = static_cast<std::uint32_t>(tree_.attributes.size());
    for (; attributes[0] != nullptr; attributes += 2, ++node.attributes)
      tree_.attributes.push_back({tree_.keep(attributes[0]), tree_.keep(attributes[1])});
    if (tree_.bytes.size() > kMaxText) return stop("more than 4 MiB of text in one event");
    if (current_ != Tree::kNone) {
      Tree::Node& parent = tree_.nodes[current_];
      if (parent.last_child == Tree::kNone) parent.first_child = index;
      else tree_.nodes[parent.last_child].next = index;
      parent.last_child = index;
    }
    tree_.nodes.push_back(node);
    current_ = index;
  }

  void on_text(std::string_view s) {
    if (!in_event_ || !limit_.empty()) return;
    Tree::Node& node = tree_.nodes[current_];
    if (node.first_child != Tree::kNone) return;  // between elements is only layout
    if (node.text.size == 0) node.text.at = static_cast<std::uint32_t>(tree_.bytes.size());
    tree_.bytes += s;
    node.text.size += static_cast<std::uint32_t>(s.size());
    if (tree_.bytes.size() > kMaxText) stop("more than 4 MiB of text in one event");
  }

  void on_end() {
    --depth_;
    if (!in_event_ || !limit_.empty()) return;  // expat may end one more element after it was stopped
    current_ = tree_.nodes[current_].parent;
    if (depth_ + 1 != event_depth_) return;
    in_event_ = false;
    EventWriter(tree_, out_).write();
    out_ += '\n';
    ++events_;
  }

  std::string& out_;
  std::unique_ptr<XML_ParserStruct, void (*)(XML_Parser)> parser_;
  Tree tree_;
  std::size_t depth_ = 0, event_depth_ = 0, events_ = 0, fault_ = 0;
  std::uint32_t current_ = Tree::kNone;
  bool in_event_ = false;
  std::string limit_;
};

}  // namespace

Result<std::string> xml_events(std::string_view xml) {
  std::string converted;
  if (xml.starts_with("\xFF\xFE") || xml.starts_with("\xFE\xFF")) {
    converted = from_utf16(xml.substr(2), xml[0] == '\xFE');
    xml = converted;
  }
  std::size_t at = xml.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  while (at < xml.size() && (xml[at] == ' ' || xml[at] == '\n' || xml[at] == '\r' || xml[at] == '\t')) ++at;
  if (xml.substr(at).starts_with(
          "<?xml")) {  // the declaration may only stand at the start of a document, and ours starts before it
    const std::size_t close = xml.find("?>", at);
    if (close == std::string_view::npos) return fail(Code::bad_input, "an XML declaration without its end");
    at = close + 2;
  }
  // expat wants UTF-8; some tools write Windows-1252 whatever they declare
  std::string repaired;
  if (!is_valid_utf8(xml)) {
    repaired = repair_utf8(xml.substr(at));
    xml = repaired;
    at = 0;
  }

  std::string out;
  out.reserve(xml.size());
  Pass pass(out);
  std::size_t events = 0, refused = 0;
  while (at != std::string_view::npos && at < xml.size()) {
    std::string reason;
    const std::size_t next = pass.read(xml, at, reason, events);
    if (reason.empty()) break;
    if (++refused == kMaxRefused) {
      reason += " (the 100th fault; the rest is not read)";
      at = std::string_view::npos;
    } else {
      at = next;
    }
    JsonWriter(out)
        .object()
        .key("#refused")
        .object()
        .member("offset", static_cast<std::uint64_t>(pass.fault()))
        .member("reason", reason)
        .end()
        .end();
    out += '\n';
  }
  if (events == 0 && refused == 0) return fail(Code::bad_input, "XML without any <Event>");
  return out;
}

}  // namespace bavn::jail
