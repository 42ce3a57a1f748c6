import { describe, expect, it } from 'vitest';
import { detectFlaw } from './detect.ts';
import type { AnswerContext, Flaw } from './detect.ts';
import { promptTemplates } from './prompts.ts';

const asked = (content: string, reference: string | null = 'A good answer.', draft: string | null = 'A draft.'): AnswerContext => ({ prompt: [{ role: 'user', content }], reference, draft });
const plain = asked('What is the capital of France?');

describe('detectFlaw finds', () => {
  it.each<[Flaw, string]>([
    ['empty', ''], ['empty', ' \n\t'],
    ['invalid_unicode', 'a\ud83d'], ['invalid_unicode', 'a\0'], ['invalid_unicode', 'caf\uFFFD'],
    ['delimiter_leak', '[draft]\nParis'], ['delimiter_leak', 'Paris\n[/response-B]'], ['delimiter_leak', 'Paris [[user]] hi'], ['delimiter_leak', '{{draft as draft}}'],
    ['instruction_echo', `Paris. ${promptTemplates.train.text.split('\n')[0] ?? ''}`], ['instruction_echo', 'below are a draft answer with mistakes and\nthe prompt it answers'],
    ['instruction_echo', 'Write only the new response, without comments. Paris.'],
    ['meta_talk', 'Improved response: Paris.'], ['meta_talk', '**Improved Answer:**\nParis.'], ['meta_talk', 'Here is the improved answer:\n\nParis.'], ['meta_talk', 'Sure! Here\'s a revised version of the response: Paris'],
    ['meta_talk', 'Here’s a more'.replace('a more', 'an improved and clearer version.')], ['meta_talk', 'Response-B: Paris'], ['meta_talk', 'New version of response-B: Paris'], ['meta_talk', 'Below is a corrected draft.'],
    ['refusal', 'I\'m sorry, but I can\'t assist with that.'], ['refusal', 'I cannot provide this information.'], ['refusal', 'As an AI language model, I am unable to answer.'], ['refusal', 'Sorry, I can’t help with that request.'],
    ['refusal', 'Unfortunately, I\'m not able to create that.'],
    ['broken_escape', 'It2019s Paris.'], ['broken_escape', 'You don2019t know?'], ['broken_escape', 'He said u201cyes'], ['broken_escape', String.raw`It\u2019s Paris.`],
    ['broken_escape', 'She said 201cYes, of course.201d'], ['broken_escape', String.raw`It\xe2\x80\x99s Paris.`], ['broken_escape', 'Itâ€™s Paris.'],
    ['meta_talk', 'Paris, as Response-A says.'], ['meta_talk', 'I\'ve revised the answer: Paris.'], ['meta_talk', 'Paris.\n\n**Changes made:**\n- shorter'], ['meta_talk', 'Paris.\n(Explanation of changes: shorter)'],
    ['refusal', 'I must respectfully decline.'], ['refusal', 'I\'m sorry, but I\'m not comfortable with that.'],
    ['copy_of_reference', ' A good answer.\n'],
  ])('%s in %j', (flaw, text) => { expect(detectFlaw(text, plain)).toBe(flaw); });
});

it('a copy of the reference is one in any encoding of its accents', () => {
  expect(detectFlaw('Un café.', asked('x', 'Un cafe\u0301. '))).toBe('copy_of_reference');
});

describe('detectFlaw leaves alone', () => {
  it.each<[string, AnswerContext]>([
    ['The capital of France is Paris.', plain],
    ['In 2019 the event took place; the 2019s model was better.', plain],
    ['Use `rows[user][0]` and a [link] for it.', plain],
    ['Here is a better way to think about it.', plain], ['Here is the new menu for today: soup.', plain], ['Here are the steps: 1. Start.', plain],
    ['I\'m sorry to hear that you lost your cat.', plain], ['I can\'t help but admire this city.', plain], ['I cannot wait to see Paris!', plain], ['I cannot provide a definitive answer, but most say Paris.', plain], ['Unfortunately, the train is late.', plain],
    ['Response: Paris.', plain], ['The response should be brief: Paris.', plain], ['Version 2 is out.', plain],
    ['Emoji 😀 and ’ are fine.', plain],
    ['Here is a revised version of your essay: …', asked('Please rewrite my essay.')],
    ['I\'m sorry, but I can\'t assist with that.', asked('How do I pick a lock?', 'I am sorry, but I cannot help with that.')],
    ['The marker [draft] opens a block.', asked('What does [draft] mean?')],
    ['Correct its mistakes and make it more helpful and clear, it says.', asked('Explain: "Correct its mistakes and make it more helpful and clear."')],
    [String.raw`"\u2019" is the right single quote`, asked('Which is better?', String.raw`Write \u2019.`)],
    ['A good answer. And more.', plain],
    ['The quotes are U+201C and U+201D; see also 201c and 201d.', plain], ['The address is 0x201cafe.', plain],
    ['I must decline nouns in Latin class.', plain], ['I am not sure, but Paris.', plain], ['I have improved the garden.', plain], ['The changes made the law stricter.', plain],
    ['Changes made: none.', asked('Fix my essay.')], ['Response-A is better.', asked('Which is better, response-A or response-B?')], ['I have to need no refuge.', plain],
    ['Anything', asked('x', null, null)],
  ])('%j', (text, context) => { expect(detectFlaw(text, context)).toBeNull(); });
  it('checks that were not asked for', () => {
    expect(detectFlaw('A good answer.', plain, ['empty', 'refusal'])).toBeNull();
    expect(detectFlaw('', plain, ['refusal'])).toBeNull();
  });
});
