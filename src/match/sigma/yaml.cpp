#include "match/sigma/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <unordered_map>
#include <unordered_set>

#include "base/text.hpp"

namespace bavn::match::sigma {

namespace {

struct Stop {
  std::string why;
  std::uint32_t line;
};

std::size_t count_nodes(const Yaml& y) {
  std::size_t n = 1;
  for (const auto& item : y.items) n += count_nodes(item);
  return n;
}

std::size_t depth_of(const Yaml& y) {
  std::size_t deepest = 0;
  for (const auto& item : y.items) deepest = std::max(deepest, depth_of(item));
  return deepest + 1;
}

// Builds the tree bottom-up from yaml-cpp's events; throws Stop (caught in read_one) to leave its parser.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(std::uint32_t first_line) : first_line_(first_line) {}

  Yaml take() { return std::move(root_); }
  std::uint32_t line_of(const YAML::Mark& m) const {
    return first_line_ + static_cast<std::uint32_t>(std::max(m.line, 0));
  }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& m, YAML::anchor_t anchor) override { leaf(Yaml{.line = line_of(m)}, anchor); }
  void OnScalar(const YAML::Mark& m, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    const bool plain = tag == "?";
    if (!plain && tag != "!" && tag.find("str") == std::string::npos && tag.find("int") == std::string::npos &&
        tag.find("float") == std::string::npos && tag.find("bool") == std::string::npos)
      throw Stop{fmt::format("the YAML tag '{}' has no meaning here: remove it", tag), line_of(m)};
    Yaml y{
        .kind = Yaml::Kind::scalar, .quoted = tag == "!" || tag.find("str") != std::string::npos, .line = line_of(m)};
    y.text = value;
    leaf(std::move(y), anchor);
  }
  void OnAlias(const YAML::Mark& m, YAML::anchor_t anchor) override {
    const auto it = anchors_.find(anchor);
    if (it == anchors_.end()) throw Stop{"a YAML alias refers to itself or to nothing", line_of(m)};
    nodes_ += it->second.nodes;
    check_size(line_of(m));
    if (stack_.size() + it->second.depth > kMaxYamlDepth) throw Stop{"YAML nested too deeply", line_of(m)};
    Yaml copy = it->second.value;
    copy.line = line_of(m);
    add(std::move(copy));
  }
  void OnSequenceStart(const YAML::Mark& m, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Yaml::Kind::list, m, anchor);
  }
  void OnMapStart(const YAML::Mark& m, const std::string&, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(Yaml::Kind::map, m, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Yaml node;
    YAML::anchor_t anchor;
    bool has_key = false;
    std::string key;
    std::unordered_set<std::string> seen;
  };
  struct Anchored {
    Yaml value;
    std::size_t nodes, depth;
  };

  void check_size(std::uint32_t line) const {
    if (nodes_ > kMaxYamlNodes)
      throw Stop{fmt::format("more than {} YAML values in one document", kMaxYamlNodes), line};
  }
  void open(Yaml::Kind kind, const YAML::Mark& m, YAML::anchor_t anchor) {
    if (stack_.size() >= kMaxYamlDepth) throw Stop{"YAML nested too deeply", line_of(m)};
    if (!stack_.empty() && stack_.back().node.is_map() && !stack_.back().has_key)
      throw Stop{"a list or map cannot be a key", line_of(m)};
    ++nodes_;
    check_size(line_of(m));
    stack_.push_back(Frame{Yaml{.kind = kind, .line = line_of(m)}, anchor, false, {}, {}});
  }
  void close() {
    Frame done = std::move(stack_.back());
    stack_.pop_back();
    if (done.node.is_map()) merge(done.node);
    remember(done.node, done.anchor);
    add(std::move(done.node));
  }
  /// "<<: *base" of YAML 1.1: the keys of the map (or maps) named there that the map does not have itself; the first that has one counts.
  static void merge(Yaml& map) {
    const auto at = std::find(map.keys.begin(), map.keys.end(), "<<");
    if (at == map.keys.end()) return;
    const auto i = at - map.keys.begin();
    const Yaml from = map.items[static_cast<std::size_t>(i)];
    if (!from.is_map() && (!from.is_list() || !std::all_of(from.items.begin(), from.items.end(),
                                                           [](const Yaml& y) { return y.is_map(); })))
      return;  // whoever reads the map says what is wrong with it
    map.keys.erase(at);
    map.items.erase(map.items.begin() + i);
    std::unordered_set<std::string> has(map.keys.begin(), map.keys.end());
    const auto take = [&](const Yaml& base) {
      for (std::size_t k = 0; k < base.keys.size(); ++k) {
        if (!has.insert(base.keys[k]).second) continue;
        map.keys.push_back(base.keys[k]);
        map.items.push_back(base.items[k]);
      }
    };
    if (from.is_map()) take(from);
    else
      for (const Yaml& base : from.items) take(base);
  }
  void leaf(Yaml y, YAML::anchor_t anchor) {
    ++nodes_;
    check_size(y.line);
    remember(y, anchor);
    add(std::move(y));
  }
  void remember(const Yaml& y, YAML::anchor_t anchor) {
    if (anchor == 0) return;
    const std::size_t nodes = count_nodes(y);
    kept_ += nodes;
    if (kept_ > kMaxYamlNodes) throw Stop{"too many YAML anchors", y.line};
    anchors_[anchor] = Anchored{y, nodes, depth_of(y)};
  }
  void add(Yaml y) {
    if (stack_.empty()) {
      root_ = std::move(y);
      return;
    }
    Frame& top = stack_.back();
    if (top.node.is_list()) {
      top.node.items.push_back(std::move(y));
    } else if (!top.has_key) {
      if (y.is_list() || y.is_map()) throw Stop{"a list or map cannot be a key", y.line};
      top.key = y.is_null() ? "" : std::move(y.text);
      if (!top.seen.insert(top.key).second)
        throw Stop{
            fmt::format("the key '{}' stands twice in one map, and only one of them would count: join their values, or "
                        "use two selections",
                        top.key),
            y.line};
      top.has_key = true;
    } else {
      top.node.keys.push_back(std::move(top.key));
      top.node.items.push_back(std::move(y));
      top.has_key = false;
    }
  }

  std::uint32_t first_line_;
  std::vector<Frame> stack_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  std::size_t nodes_ = 0, kept_ = 0;
  Yaml root_;
};

// yaml-cpp reads streams; this one reads a view without a copy.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view s) {
    char* p = const_cast<char*>(s.data());
    setg(p, p, p + s.size());
  }
};

Result<Yaml> read_one(std::string_view text, std::uint32_t first_line) {
  Builder builder(first_line);
  try {
    ViewBuffer buffer(text);
    std::istream in(&buffer);
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder)) return Yaml{.line = first_line};
    return builder.take();
  } catch (const Stop& s) {
    return fail(Code::bad_input, s.why, std::to_string(s.line));
  } catch (const YAML::Exception& e) {
    return fail(Code::bad_input, fmt::format("not valid YAML: {} (column {})", e.msg, std::max(e.mark.column, 0) + 1),
                std::to_string(builder.line_of(e.mark)));
  } catch (const std::exception& e) {
    return fail(Code::bad_input, fmt::format("not valid YAML: {}", e.what()), std::to_string(first_line));
  }
}

bool has_content(std::string_view text) {
  for (const auto line : split(text, '\n')) {
    const auto t = trim(line);
    if (!t.empty() && t.front() != '#' && t != "---" && t != "...") return true;
  }
  return false;
}

bool begins_document(std::string_view line) {
  return line.starts_with("---") && (line.size() == 3 || line[3] == ' ' || line[3] == '\r' || line[3] == '\t');
}

}  // namespace

const Yaml* Yaml::find(std::string_view key) const {
  if (kind != Kind::map) return nullptr;
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i] == key) return &items[i];
  return nullptr;
}

Result<std::vector<YamlDocument>> read_yaml(std::string_view text) {
  if (text.size() > kMaxYamlBytes)
    return fail(Code::bad_input, fmt::format("larger than {} MiB: split the file", kMaxYamlBytes >> 20));
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (!is_valid_utf8(text)) return fail(Code::bad_input, "not UTF-8: save the file as UTF-8");
  if (text.find('\0') != std::string_view::npos) return fail(Code::bad_input, "holds a NUL byte: this is no text file");
  std::vector<YamlDocument> out;
  const auto emit = [&](std::size_t from, std::size_t to, std::uint32_t line) {
    const auto part = text.substr(from, to - from);
    if (has_content(part)) out.push_back(YamlDocument{line, read_one(part, line)});
  };
  std::size_t from = 0;
  std::uint32_t from_line = 1, line = 1;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (begins_document(text.substr(at, end - at)) && at != from) {
      emit(from, at, from_line);
      from = at;
      from_line = line;
    }
    at = end + 1;
  }
  emit(from, text.size(), from_line);
  for (auto& d : out) {
    // The line of the first key says more than that of the "---" or of a comment above it.
    if (d.root && d.root->line > d.line) d.line = d.root->line;
  }
  return out;
}

}  // namespace bavn::match::sigma
