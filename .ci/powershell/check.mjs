// Parses PowerShell scripts with the grammar of tree-sitter-powershell and
// fails on the first mistake of each. Arguments: the grammar, then scripts.
import fs from 'node:fs';
import { Language, Parser } from 'web-tree-sitter';

const [grammar, ...scripts] = process.argv.slice(2);
await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(grammar));
let mistakes = 0;
for (const script of scripts) {
  const visit = (node) => {
    if (node.type === 'ERROR' || node.isMissing) {
      mistakes++;
      console.log(`${script}:${node.startPosition.row + 1}: ${node.type} ${node.text.slice(0, 80)}`);
    } else if (node.hasError) {
      node.children.forEach(visit);
    }
  };
  visit(parser.parse(fs.readFileSync(script, 'utf8')).rootNode);
}
console.log(`${scripts.length} PowerShell scripts parsed, ${mistakes} mistakes`);
process.exit(mistakes || scripts.length === 0 ? 1 : 0);
