"""A text and a faithful rewrite of it in several languages, to put letters, talks and remarks around."""

EN = (
    "The lighthouse at Skerryvore was built between 1838 and 1844 by Alan Stevenson. It stands 48 metres "
    "tall on a reef off the west coast of Scotland. Its granite blocks weigh 4,300 tonnes in all, and no "
    "mortar holds the lowest courses together."
)
DE = (
    "Der Leuchtturm von Skerryvore wurde zwischen 1838 und 1844 von Alan Stevenson gebaut. Er steht 48 "
    "Meter hoch auf einem Riff vor der Westküste Schottlands. Seine Granitblöcke wiegen zusammen 4300 "
    "Tonnen."
)
FR = (
    "Le phare de Skerryvore a été construit entre 1838 et 1844 par Alan Stevenson. Il se dresse à 48 "
    "mètres de hauteur sur un récif au large de la côte ouest de l'Écosse. Ses blocs de granit pèsent 4 "
    "300 tonnes en tout."
)
ES = (
    "El faro de Skerryvore fue construido entre 1838 y 1844 por Alan Stevenson. Tiene 48 metros de altura"
    " y está sobre un arrecife frente a la costa oeste de Escocia. Sus bloques de granito pesan 4300 "
    "toneladas en total."
)
RU = (
    "Маяк Скерривор был построен между 1838 и 1844 годами Аланом Стивенсоном. Его высота 48 метров, и он "
    "стоит на рифе у западного побережья Шотландии. Гранитные блоки весят в общей сложности 4300 тонн."
)
ZH = (
    "斯凯里沃尔灯塔由艾伦·史蒂文森于1838年至1844年间建造。"
    "灯塔高48米，矗立在苏格兰西海岸外的礁石上。花岗岩石块总重4300吨。"
)
JA = (
    "スケリーボア灯台は1838年から1844年にかけてアラン・スティーブンソンによって建設された。"
    "高さは48メートルで、スコットランド西海岸沖の岩礁に立っている。"
)
F = (
    "Alan Stevenson raised a tower of 48 metres on the reef of Skerryvore, and from 1838 to 1844 his men "
    "were at work there."
)
F2 = "Mortar is absent from the lowest courses, though all the granite together has a weight of 4,300 tonnes."
DE_F = (
    "Auf einem Riff vor Schottlands Westküste errichtete Alan Stevenson von 1838 bis 1844 einen Turm, der"
    " 48 Meter misst."
)
FR_F = "C'est Alan Stevenson qui, de 1838 à 1844, éleva sur un récif écossais une tour haute de 48 mètres."
ES_F = "Alan Stevenson levantó de 1838 a 1844 una torre de 48 metros sobre un arrecife de Escocia."
RU_F = "На рифе у западных берегов Шотландии Алан Стивенсон с 1838 по 1844 год возвёл башню высотой 48 метров."
ZH_F = "在苏格兰西边海岸之外的一块礁石上，艾伦·史蒂文森用六年时间，从1838年到1844年，修起了一座48米的塔。"
JA_F = "アラン・スティーブンソンが岩礁の上に48メートルの塔を建てたのは、1838年から1844年までのことである。"
